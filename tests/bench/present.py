"""What stands in the database before something is measured, by SQL in bulk: accounts, and millions of entries.

One of each is made by the product; the others are its copies. Accounts come out as if each had been opened by itself
(debitctl verify finds no difference). Copies of entries are rows like those that the daemon writes, in its order and with
identities of their own, but balances and summaries do not know of them: they are weight, not books.
"""

# The identity under which an account is opened here, and rows of tables with some columns replaced, whatever the others are.
KEY = "debitd.key_of(s.head, 'bench-' || {0}, (SELECT timed_keys FROM debitd.books))"
COPIES = {
    "account": "SELECT r.* FROM wanted w JOIN debitd.account m ON m.account_id = w.like_id CROSS JOIN LATERAL"
               " jsonb_populate_record(m, jsonb_build_object('account_id', w.account_id, 'payer_id', w.account_id, 'name', w.name)) r",
    "payer": "SELECT r.* FROM wanted w JOIN debitd.payer m ON m.payer_id = w.like_id CROSS JOIN LATERAL"
             " jsonb_populate_record(m, jsonb_build_object('payer_id', w.account_id)) r",
    "ledger": "SELECT r.* FROM granted w JOIN debitd.ledger m ON m.entry_id = w.like_entry CROSS JOIN LATERAL"
              " jsonb_populate_record(m, jsonb_build_object('entry_id', w.entry_id, 'account_id', w.account_id,"
              " 'payer_id', w.account_id, 'event_id', 'bench-' || w.name)) r",
    "batch": "SELECT r.* FROM granted w JOIN debitd.batch m ON m.entry_lo = w.like_entry CROSS JOIN LATERAL"
             " jsonb_populate_record(m, jsonb_build_object('batch_id', nextval('debitd.batch_batch_id_seq'),"
             " 'entry_lo', w.entry_id, 'entry_hi', w.entry_id)) r",
    "event_key": "SELECT r.* FROM wanted w JOIN debitd.event_key m ON m.key = w.like_key LEFT JOIN granted t USING (account_id)"
                 " CROSS JOIN LATERAL jsonb_populate_record(m, jsonb_build_object('key', w.key, 'entry_id', t.entry_id)) r",
}


def open_accounts(connection, wanted):
    """Opens [(account, plan)], all of which pay for themselves: the first of each plan by the product."""
    first = {}
    for account, plan in wanted:
        if plan not in first:
            first[plan] = account
            outcome, = connection.execute("SELECT outcome FROM api.account_open('bench-' || %s, %s, %s)",
                                          [account, account, plan]).fetchone()
            if outcome != "done":
                raise RuntimeError(f"{account} could not be opened on {plan}: {outcome}")
    while connection.execute("SELECT debitd.fold(500000)").fetchone()[0]:  # what a daemon would have summed long ago
        pass
    with connection.transaction():
        connection.execute("CREATE TEMP TABLE given (at serial, name text, first text) ON COMMIT DROP")
        with connection.cursor().copy("COPY given (name, first) FROM STDIN") as rows:
            for account, plan in wanted:
                if account != first[plan]:
                    rows.write_row((account, first[plan]))
        copy_accounts(connection)
    connection.execute("VACUUM ANALYZE")  # as the server would in time have done by itself


def copy_accounts(connection):
    connection.execute(
        "CREATE TEMP TABLE source ON COMMIT DROP AS SELECT DISTINCT debitd.key_head(n.name) AS head"
        " FROM debitd.ledger l JOIN debitd.name n ON n.name_id = l.source_id WHERE l.type = 'grant'")
    connection.execute(
        "CREATE TEMP TABLE first ON COMMIT DROP AS SELECT a.name, a.account_id, " + KEY.format("a.name") + " AS key"
        " FROM debitd.account a, source s WHERE a.name IN (SELECT g.first FROM given g)")
    connection.execute(
        "CREATE TEMP TABLE wanted ON COMMIT DROP AS SELECT g.at + (SELECT max(account_id) FROM debitd.account) AS account_id,"
        " g.name, " + KEY.format("g.name") + " AS key, f.account_id AS like_id, f.key AS like_key"
        " FROM given g JOIN first f ON f.name = g.first CROSS JOIN source s")
    connection.execute(
        "CREATE TEMP TABLE granted ON COMMIT DROP AS SELECT w.*, l.entry_id AS like_entry, nextval('debitd.entry_seq') AS entry_id"
        " FROM wanted w JOIN debitd.ledger l ON l.account_id = w.like_id")
    connection.execute("ANALYZE wanted, granted")
    for table, copies in COPIES.items():
        connection.execute(f"INSERT INTO debitd.{table} OVERRIDING SYSTEM VALUE {copies}")
    connection.execute("SELECT setval(pg_get_serial_sequence('debitd.account', 'account_id'), max(account_id)) FROM debitd.account")


def add_entries(connection, count, uuid7=False):
    """Copies of the usage entries that are there until there are `count` more, and as many identities; each round of copies
    has threads of its own. The indexes are made at the end, as that is many times faster. `uuid7`: keys as of ids that were
    made evenly over the last 30 days."""
    month, = connection.execute("SELECT to_char(month, 'YYYY_MM') FROM debitd.books").fetchone()
    ledger, keys = f"debitd.ledger_{month}", f"debitd.event_key_{month}"
    connection.execute(f"CREATE TEMP TABLE pattern AS SELECT row_number() OVER (ORDER BY ctid) AS at, * FROM {ledger} WHERE type = 'usage'")
    made, = connection.execute("SELECT count(*) FROM pattern").fetchone()
    base, = connection.execute("SELECT min(nextval('debitd.entry_seq')) FROM generate_series(0, %s)", [count >> 20]).fetchone()
    columns = [name for name, in connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [ledger])]
    number = f"(g * {made} + p.at - 1)"
    new = {"entry_id": f"{base} + {number}", "event_id": f"md5({number}::text)", "thread_id": "p.thread_id || '.' || g"}
    values = ", ".join(new.get(name, f"p.{name}") for name in columns)
    indexes = drop_indexes(connection, ledger) + drop_indexes(connection, keys)
    # round by round, each in the order in which its entries were written
    connection.execute(f"INSERT INTO {ledger} ({', '.join(columns)}) SELECT {values}"
                       f" FROM generate_series(0, {(count - 1) // made}) g CROSS JOIN LATERAL"
                       f" (SELECT * FROM pattern p WHERE p.at <= {count} - g * {made} OFFSET 0) p")
    key = "gen_random_uuid()"
    if uuid7:
        made_ms = f"(extract(epoch FROM now() - interval '30 days' * ({count} - g) / {count}) * 1000)::bigint"
        key = f"encode(substring(int8send({made_ms} >> 10) FROM 6) || substring(uuid_send({key}) FROM 4), 'hex')::uuid"
    connection.execute(f"INSERT INTO {keys} (month, key, digest, entry_id) SELECT b.month, {key}, gen_random_uuid(),"
                       f" {base} + g - 1 FROM debitd.books b, generate_series(1, {count}) g")
    for statement in indexes:
        connection.execute(statement)
    connection.execute("DROP TABLE pattern")
    connection.execute("VACUUM ANALYZE")


def drop_indexes(connection, table):
    """Drops the indexes of a leaf; returns the statements that make them again."""
    found = connection.execute(
        "SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),"
        "       format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))"
        "  FROM pg_constraint WHERE conrelid = %(table)s::regclass AND contype IN ('p', 'u') UNION ALL "
        "SELECT format('DROP INDEX %%s', indexrelid::regclass), pg_get_indexdef(indexrelid) FROM pg_index i"
        " WHERE indrelid = %(table)s::regclass AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)",
        {"table": table}).fetchall()
    for drop, _ in found:
        connection.execute(drop)
    return [make for _, make in found]
