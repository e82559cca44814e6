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


def row(value, prices):
    """The columns of one event, its cost looked up."""
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
        quantity = data["quantity"]
        cost = quantity * each_price
    return (event["source"], event["id"], event["subject"], event["time"], data["metric"], service, model, input, output,
            quantity, cost, data.get("user"), data.get("execution"))


def insert(database, messages, prices):
    with database.cursor() as cursor, cursor.copy(COPY) as copy:
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            copy.write_row(row(message.value(), prices))
    database.commit()


def main():
    bootstrap, topic, group, conninfo = sys.argv[1:]
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    with psycopg.connect(conninfo) as database:
        prices = read_prices(database)
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                             "enable.auto.commit": False, "session.timeout.ms": 6000,
                             "queued.min.messages": 200_000, "fetch.message.max.bytes": 4_194_304})
        consumer.subscribe([topic])
        while not stopped:
            messages = consumer.consume(BATCH, WAIT_S)
            if messages:
                insert(database, messages, prices)
                consumer.commit(asynchronous=True)
        consumer.close()


if __name__ == "__main__":
    main()
