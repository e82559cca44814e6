"""The script of somebody who wants each event once and to the cent: exact costs, a unique id, sums of months, and the offsets in
the same transaction.

    careful.py BOOTSTRAP TOPIC GROUP CONNINFO

A batch goes to a table of its own; what is new of it is booked and summed, and the positions move with it. It reads on from these
positions, not from the group's. Ends at SIGTERM.
"""

from decimal import Decimal

from script import COPY, copy, run

STAGE = "CREATE TEMPORARY TABLE arrived (LIKE peer.usage) ON COMMIT DELETE ROWS"
BOOK = """
WITH booked AS (
    INSERT INTO peer.usage SELECT * FROM arrived
        ON CONFLICT (event_id, event_source) DO NOTHING
    RETURNING account_id, metric, occurred_at, quantity, cost)
INSERT INTO peer.month AS m
SELECT account_id, metric, date_trunc('month', occurred_at, 'UTC'), count(*), sum(quantity), sum(cost)
  FROM booked
 GROUP BY 1, 2, 3
 ORDER BY 1, 2, 3
    ON CONFLICT (account_id, metric, month)
    DO UPDATE SET events = m.events + excluded.events, quantity = m.quantity + excluded.quantity, cost = m.cost + excluded.cost"""
MOVE = """
INSERT INTO peer.position SELECT * FROM unnest(%s::int[], %s::bigint[])
    ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset"""


def exact(quantity):
    return Decimal(str(quantity))


def insert(database, messages, prices):
    with database.cursor() as cursor:
        copy(cursor, COPY.replace("peer.usage", "arrived"), messages, prices, exact)
        cursor.execute(BOOK)
        positions = {message.partition(): message.offset() + 1 for message in messages}
        cursor.execute(MOVE, (list(positions), list(positions.values())))
    database.commit()


def subscribe(consumer, database, topic):
    database.execute(STAGE)
    database.commit()

    def assigned(consumer, partitions):
        positions = dict(database.execute("SELECT partition, next_offset FROM peer.position").fetchall())
        database.commit()
        for each in partitions:
            each.offset = positions.get(each.partition, each.offset)
        consumer.assign(partitions)
    consumer.subscribe([topic], on_assign=assigned)


if __name__ == "__main__":
    run(subscribe, insert)
