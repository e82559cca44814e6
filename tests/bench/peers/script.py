"""The script that is usually written: confluent-kafka, orjson, psycopg COPY. Flat rows, costs as floats, at least once.

    script.py BOOTSTRAP TOPIC GROUP CONNINFO

A batch is inserted and committed, then its offsets: what was inserted after the last offsets is inserted again after a
crash. Ends at SIGTERM.
"""

import signal
import sys

import orjson
import psycopg
from confluent_kafka import Consumer, KafkaException

BATCH = 20_000
WAIT_S = 0.1  # for more of a batch, where there are fewer
COPY = ("COPY peer.usage (event_source, event_id, account_id, occurred_at, metric, service, model, input, output, quantity,"
        " cost, user_id, execution_id) FROM STDIN")


def read_prices(database):
    rows = database.execute("SELECT service, model, input, output, each FROM peer.price")
    return {(service, model): prices for service, model, *prices in rows}


def row(value, prices, number=float):
    """The columns of one event, its cost looked up. `number` makes what is multiplied by a price of a quantity."""
    event = orjson.loads(value)
    data = event["data"]
    service, model = data["service"], data.get("model")
    input_price, output_price, each_price = prices[service, model or ""]
    quantities = data.get("quantities")
    if quantities:
        input, output = quantities["input"], quantities["output"]
        quantity, cost = input + output, input * input_price + output * output_price
    else:
        input = output = None
        quantity = number(data["quantity"])
        cost = quantity * each_price
    return (event["source"], event["id"], event["subject"], event["time"], data["metric"], service, model, input, output,
            quantity, cost, data.get("user"), data.get("execution"))


def copy(cursor, statement, messages, prices, number=float):
    with cursor.copy(statement) as rows:
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            rows.write_row(row(message.value(), prices, number))


def insert(database, messages, prices):
    with database.cursor() as cursor:
        copy(cursor, COPY, messages, prices)
    database.commit()


def run(subscribe, insert, after=lambda consumer: None):
    """Hands batch after batch to insert(database, messages, prices), and calls after(consumer). subscribe(consumer, database, topic)
    joins the group."""
    bootstrap, topic, group, conninfo = sys.argv[1:]
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    with psycopg.connect(conninfo) as database:
        prices = read_prices(database)
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                             "enable.auto.commit": False, "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
                             "queued.min.messages": 200_000, "fetch.message.max.bytes": 4_194_304})
        subscribe(consumer, database, topic)
        while not stopped:
            messages = consumer.consume(BATCH, WAIT_S)
            if messages:
                insert(database, messages, prices)
                after(consumer)
        consumer.close()


if __name__ == "__main__":
    run(lambda consumer, _, topic: consumer.subscribe([topic]), insert, lambda consumer: consumer.commit(asynchronous=True))
