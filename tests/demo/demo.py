#!/usr/bin/python3
"""./run demo: usage becomes entries, balances and alerts before your eyes.

Starts a private PostgreSQL, librdkafka's mock broker and debitd in a temporary folder, sends a few accounts of every
plan family and their usage, shows what becomes of it, and takes everything away again. With a terminal on standard
input it then waits for events of your own until Ctrl-C. Needs python3, kcat and PostgreSQL 15; no Java.
"""
import contextlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("DEBITD_BUILD", TOP / "build"))
PGBIN = pathlib.Path(os.environ.get("PGBIN", "/usr/lib/postgresql/15/bin"))
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
WAIT_S = 20


class Trouble(Exception):
    """Told to a person as it is."""


def say(text=""):
    print(text, flush=True)


def head(text):
    say(f"\n\033[1m{text}\033[0m" if COLOUR else f"\n== {text}")


def wait_until(what, ready, seconds=WAIT_S):
    """Polls until ready() is true and returns its value."""
    end = time.monotonic() + seconds
    while not (value := ready()):
        if time.monotonic() > end:
            raise Trouble(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)
    return value


def start(stack, command, log, **more):
    """A child that is ended with the demo."""
    try:
        child = subprocess.Popen([str(c) for c in command], stderr=log, start_new_session=True, **more)
    except FileNotFoundError as e:
        raise Trouble(f"{e.filename} is not there: ./run deps demo, then ./run build") from None
    stack.callback(stop, child)
    return child


def stop(child):
    if child.stdin:
        child.stdin.close()
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(8)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


class Postgres:
    """A cluster of its own on a Unix socket, as user postgres where we are root."""

    def __init__(self, stack, folder):
        self.folder = folder
        self.root = os.getuid() == 0
        data = folder / "data"
        if self.root:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
        self.run("initdb", "-D", data, "-U", "owner", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        self.run("pg_ctl", "-D", data, "-l", folder / "log", "-o", options, "-w", "start")
        stack.callback(self.run, "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        self.conninfo = f"host={folder} user=owner dbname=debitd"
        self.run("createdb", "-h", folder, "-U", "owner", "debitd")

    def run(self, program, *args):
        command = [str(PGBIN / program), *map(str, args)]
        if self.root:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise Trouble(f"{program} failed: {done.stderr.strip()}")

    def psql(self, sql, *options):
        done = subprocess.run(["psql", "-X", "-q", *options, "-c", sql, self.conninfo], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise Trouble(f"psql: {done.stderr.strip()}")
        return done.stdout

    def rows(self, sql):
        return [line.split("\t") for line in self.psql(sql, "-At", "-F", "\t").splitlines()]

    def table(self, sql):
        for line in self.psql(sql, "-P", "footer=off", "-P", "null=-").splitlines():
            if line:
                say("  " + line.rstrip())


class Broker:
    """The mock cluster, and kcat to speak with it."""

    topics = ("usage.events:2", "usage.accounts:1", "usage.alerts:1", "usage.deadletter:1")

    def __init__(self, stack, log):
        program = BUILD / "tests" / "demo_broker"
        child = start(stack, [program, *self.topics], log, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = child.stdout.readline().strip()
        if not self.address:
            raise Trouble("the demo's broker does not start")

    def send(self, path):
        """Every line of a file to the topic its type belongs to, with the account as key. Returns their number.

        "elm" and "elm-lee" fall on one partition, so that who uses the fourth signature is the same every time.
        """
        lines = [line for line in path.read_text().splitlines() if line]
        by_place = {}
        for line in lines:
            event = json.loads(line)
            topic = "usage.events" if event["type"].startswith("usage.") else "usage.accounts"
            by_place.setdefault(topic, []).append(f"{event['subject']}\t{line}")
        for topic, some in by_place.items():
            self.put(topic, "\n".join(some), "-K", "\t")
        return len(lines)

    def put(self, topic, text, *options):
        subprocess.run(["kcat", "-q", "-b", self.address, "-P", "-t", topic, "-X", "topic.partitioner=murmur2_random",
                        *options], input=text + "\n", text=True, check=True)


class Alerts(threading.Thread):
    """Reads usage.alerts and prints each alert as it arrives."""

    def __init__(self, stack, broker, log):
        super().__init__(daemon=True)
        self.child = start(stack, ["kcat", "-q", "-u", "-b", broker.address, "-C", "-t", "usage.alerts", "-o",
                                   "beginning", "-f", "%s\n"], log, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           text=True)
        self.seen = 0

    def run(self):
        for line in self.child.stdout:
            event = json.loads(line)
            data = event["data"]
            if "used" in data:
                words = f"{data['metric']}: {data['used']} of {data['included']} used"
                words += f" ({data['percent']} %)" if data["percent"] is not None else ""
                words = f"{data['threshold']} % of {words}"
            elif "balance" in data:
                words = f"balance {data['balance']} {data['unit']}"
            else:
                words = " ".join(str(data[k]) for k in ("service", "model", "metric", "component") if data.get(k))
            say(f"  alert    {event['subject']:<9} {event['type']:<24} {words}")
            self.seen += 1


class Daemon:
    """debitd, as a service manager would run it: it is ready when it says so."""

    def __init__(self, stack, folder, config, log):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        stack.callback(manager.close)
        manager.bind(str(folder / "notify"))
        environment = dict(os.environ, NOTIFY_SOCKET=str(folder / "notify"))
        stack.callback(lambda: self.ended(child))
        child = start(stack, [BUILD / "debitd", "--config", config], log, env=environment, stdin=subprocess.DEVNULL)
        said = threading.Event()
        threading.Thread(target=self.listen, args=(manager, said), daemon=True).start()

        def ready():
            if child.poll() is not None:
                raise Trouble(f"debitd ended with exit code {child.returncode}")
            return said.is_set()

        wait_until("debitd to be ready", ready)

    @staticmethod
    def ended(child):
        if child.returncode != 0:
            raise Trouble(f"debitd ended with exit code {child.returncode}")

    @staticmethod
    def listen(manager, said):
        """Reads to the end: a service manager that does not listen would hold the daemon up."""
        with contextlib.suppress(OSError):
            while True:
                if b"READY=1" in manager.recv(4096).splitlines():
                    said.set()


class Demo:
    """The servers, and what is shown."""

    def __init__(self, stack, folder, log):
        folder.chmod(0o755)
        (folder / "pg").mkdir()
        self.postgres = Postgres(stack, folder / "pg")
        self.broker = Broker(stack, log)
        self.config = folder / "debitd.conf"
        self.config.write_text(f"""
kafka = {{ bootstrap_servers = "{self.broker.address}"; properties = ( ("session.timeout.ms", "6000") ); }};
postgres = {{ conninfo = "{self.postgres.conninfo}"; }};
""")
        self.sent = 0
        self.ctl("migrate")
        self.ctl("catalog", "apply", TOP / "etc" / "catalog.conf")
        self.send("accounts.ndjson")
        self.alerts = Alerts(stack, self.broker, log)
        self.alerts.start()
        Daemon(stack, folder, self.config, log)

    def ctl(self, *words, allowed=(0,)):
        done = subprocess.run([BUILD / "debitctl", "--config", self.config, *map(str, words)], capture_output=True,
                              text=True, check=False)
        if done.returncode not in allowed:
            raise Trouble(f"debitctl {' '.join(map(str, words))}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def show(self, *words, allowed=(0, 1)):
        say("  $ debitctl " + " ".join(words))
        for line in self.ctl(*words, allowed=allowed).splitlines():
            say("  " + line.rstrip())

    def send(self, name):
        self.sent += self.broker.send(HERE / name)

    def booked(self):
        """All that was sent is accounted for, and all alerts are out and shown."""
        wait_until("the events to be booked", lambda: int(self.postgres.rows(
            "SELECT coalesce(sum(booked + duplicates + rejected + parked + skipped), 0) FROM api.position")[0][0])
            >= self.sent)
        wait_until("the alerts to arrive", lambda: self.alerts.seen >= int(self.postgres.rows(
            "SELECT count(*) FROM api.alert")[0][0]))

    def act(self):
        head("Usage comes in on usage.events; alerts come out on usage.alerts")
        self.send("usage.ndjson")
        self.broker.put("usage.events", "this is no event", "-k", "ann")
        self.sent += 1
        self.booked()
        head("Cleo buys 20 dollars, and Zoe's account is opened: her usage was parked for it")
        self.send("topup.ndjson")
        self.booked()
        wait_until("Zoe's usage to be released", lambda: self.postgres.rows(
            "SELECT 1 FROM api.ledger WHERE account_id = 'zoe' AND type = 'usage'"))
        self.booked()
        head("Entries: one an event, never changed (SELECT … FROM api.ledger)")
        self.postgres.table("SELECT account_id AS account, type, metric, trim_scale(quantity) AS quantity, "
                            "coalesce(trim_scale(cost) || ' ' || currency, '') AS cost, trim_scale(amount) AS amount, "
                            "unit, trim_scale(balance_after) AS balance FROM api.ledger ORDER BY payer_id, entry_id")
        head("Balances (api.balance)")
        self.postgres.table("SELECT b.account_id AS account, a.plan, trim_scale(b.balance) AS balance, b.unit, "
                            "trim_scale(b.purchased) AS purchased, trim_scale(b.granted) AS granted, "
                            "trim_scale(b.spent) AS spent FROM api.balance b JOIN api.account a USING (account_id) "
                            "ORDER BY 1")
        head("Quotas of this month, Lee's use counted with Elm's (api.usage)")
        self.postgres.table("SELECT account_id AS account, metric, trim_scale(used) AS used, "
                            "trim_scale(included) AS included, trim_scale(percent) AS percent, "
                            "trim_scale(overage_charge) AS overage, unit FROM api.usage "
                            "WHERE period = 'month' AND included IS NOT NULL ORDER BY 1, 2")
        head("What was not booked, and why (api.position, api.rejected, api.parked)")
        self.postgres.table("SELECT sum(booked) AS booked, sum(duplicates) AS duplicates, sum(rejected) AS rejected, "
                            "sum(parked) AS parked FROM api.position")
        self.postgres.table("SELECT 'rejected' AS what, reason, detail FROM api.rejected UNION ALL "
                            "SELECT CASE WHEN released_at IS NULL THEN 'parked' ELSE 'parked, then released' END, "
                            "reason, detail FROM api.parked ORDER BY 1, 2")
        head("May Bob make one more request? Do the books add up?")
        self.show("check", "bob", "requests", "1")
        self.show("verify")

    followed = {
        "entry": ("api.ledger", "booked_at, entry_id", "account_id || '  ' || type || '  ' || coalesce(metric, '') || "
                  "'  ' || trim_scale(amount) || ' ' || unit || ', balance ' || trim_scale(balance_after)"),
        "rejected": ("api.rejected", "at", "reason || ': ' || detail"),
        "parked": ("api.parked", "at", "account_id || '  ' || reason || ': ' || detail"),
    }

    def count(self):
        return {what: int(self.postgres.rows(f"SELECT count(*) FROM {view}")[0][0])
                for what, (view, _, _) in self.followed.items()}

    def follow(self, seen):
        """Prints entries, rejections and parked events beyond those already seen, as they come, until Ctrl-C."""
        while True:
            for what, (view, order, words) in self.followed.items():
                for (line,) in self.postgres.rows(f"SELECT {words} FROM {view} ORDER BY {order} OFFSET {seen[what]}"):
                    say(f"  {what:<8} {line}")
                    seen[what] += 1
            time.sleep(0.3)


def event_line(broker):
    return ("echo '{\"specversion\":\"1.0\",\"type\":\"usage.recorded\",\"source\":\"/me\",\"id\":\"'$(date +%s%N)'\","
            "\"subject\":\"cleo\",\"data\":{\"metric\":\"ai_tokens\",\"service\":\"openai\",\"model\":\"gpt-4o\","
            "\"quantities\":{\"input\":100000,\"output\":50000}}}' | \\\n"
            f"    kcat -P -b {broker.address} -t usage.events -k cleo")


def demo(folder, stack):
    say("debitd: usage events from Kafka become priced entries, balances and alerts. A demonstration on servers of its\n"
        "own, in " + str(folder) + ". The broker is librdkafka's mock, not Kafka: everything is in memory, the oldest\n"
        "messages go after 5 MiB a partition, and transactions mean nothing on it, so it shows what debitd does but\n"
        "never that alerts go out exactly once. ./run check does that, on a real one.")
    with open(folder / "log", "w", encoding="utf-8") as log:
        try:
            began = time.monotonic()
            show = Demo(stack, folder, log)
            say(f"\nReady after {time.monotonic() - began:.1f} s: schema, catalogue, accounts of five plan families, debitd.")
            show.act()
            seen = show.count()
            head("An event of your own (kcat, with the account as key)")
            say(event_line(show.broker))
            if os.isatty(0):
                say("\nWaiting for it; Ctrl-C ends the demo and takes everything away.")
                show.follow(seen)
        except (Trouble, subprocess.CalledProcessError) as e:
            log.flush()
            tail = (folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            say(f"\nthe demo failed: {e}\nthe last lines of its log:")
            for line in tail:
                say("  " + line)
            return 1
    return 0


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="debitd-demo-"))
    result = 0
    try:
        with contextlib.ExitStack() as stack:
            result = demo(folder, stack)
    except KeyboardInterrupt:
        say()
    except Trouble as e:
        say(f"\nthe demo failed at its end: {e}")
        result = 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say("\nEverything is taken away again." if result == 0 else "")
    return result


if __name__ == "__main__":
    sys.exit(main())
