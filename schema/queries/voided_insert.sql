-- What has been taken back; the primary key decides between two voids. $1 keys uuid[], $2 keys of the voids uuid[]
INSERT INTO debitd.voided (key, by_key) SELECT u.k, u.b FROM unnest($1::uuid[], $2::uuid[]) u(k, b) ORDER BY u.k
