"""What the daemon holds while PostgreSQL is away and a backlog stands."""

import time

from tests.bench import usage
from tests.bench.ground import Watch, check_books, fresh_world, wait_settled
from tests.bench.stream import send
from tests.rig.wait import wait_until

OUTAGE_S = 8  # PostgreSQL is away for so long


def memory(kafka, postgres, prepared, stream, seed, outage_s=OUTAGE_S):
    """PostgreSQL goes away once the daemon is at work on the backlog; then it comes back and all is booked."""
    with fresh_world(kafka, postgres, prepared, seed, "bench memory") as world:
        send(kafka, world.topics["usage"], stream)
        daemon = world.start()
        pid = daemon.child.pid
        watch = Watch(world, len(stream))
        watch.wait(1)
        working = watch.consumed()
        watch.close()
        world.disconnect()
        world.postgres.stop()
        gone = time.monotonic()
        sizes = []

        def over():
            sizes.append(usage.memory_kib(pid)[0] / 1024)
            return time.monotonic() - gone >= outage_s
        wait_until(over, outage_s + 30, "the outage to end", interval=0.1)
        world.postgres.start()
        watch = Watch(world, len(stream))
        watch.wait()
        watch.close()
        wait_settled(world)
        check_books(world, stream)
        found = {"outage_s": outage_s, "booked_before": working, "backlog": len(stream) - working,
                 "rss_at_outage_mib": sizes[0], "rss_end_of_outage_mib": sizes[-1], "rss_most_mib": max(sizes),
                 "rss_peak_mib": usage.memory_kib(pid)[1] / 1024}
        daemon.stop()
        return found
