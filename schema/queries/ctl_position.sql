-- What is known of a partition before a person moves it. window_begin_ms: what was booked before is no longer recognised when it
-- comes again; null: everything is. $1 topic, $2 partition
SELECT p.topic IS NOT NULL AS known, p.next_offset,
       CASE WHEN b.dedup_months > 0 THEN (extract(epoch FROM (b.month - pg_catalog.make_interval(months => b.dedup_months))
                                                              AT TIME ZONE 'UTC') * 1000)::bigint END AS window_begin_ms
  FROM debitd.books b LEFT JOIN debitd.position p ON p.topic = $1::text AND p.partition = $2::integer
