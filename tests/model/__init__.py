"""The judge: an independent model of the contract, a generator of streams, and the comparison.

An integration test does (with tests/ on sys.path):

    from model.books import Books
    from model.catalogue import shipped
    from model.compare import judge
    from model.generator import generate

    messages = generate(seed, 25000, partitions=3, now=now, topics={"usage": ..., "accounts": ...})
    # phase by phase: produce to message.topic and message.partition with message.timestamp_ms, set
    # message.offset from the delivery report, wait until api.position has moved past them
    differences = judge(Books(shipped(), now), messages, connection, alerts, deadletters)
    assert not differences, "\\n".join(differences)

Wait until parking, the roll-up and the outbox are at rest before judging. Books(..., unknown="open",
default_plan=...) follows the configuration.
"""
