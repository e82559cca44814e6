-- The version of a package that was in force until now. $1 name, $2 version
UPDATE debitd.package SET until = $2::integer WHERE name = $1 AND until IS NULL
