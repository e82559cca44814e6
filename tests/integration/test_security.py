"""Servers that ask who comes in, with the settings that docs/security.md shows: what works, and what is said where it does not."""

import re
from contextlib import closing

import pytest

from tests.rig.daemon import TOP, Debitd, debitctl, libconfig
from tests.rig.postgres import Postgres
from tests.rig.tls import Authority, SecureKafka, SecurePostgres
from tests.rig.world import WRITER, World, migrate_template

PASSWORD, KEY_PASSWORD, WRONG = "Kafka-geheim-4711", "Schluessel-geheim-4712", "Falsch-geheim-4713"
DATABASE_PASSWORD, NEW_PASSWORD = "Datenbank-geheim-4714", "Neu-geheim-4715"
SECRETS = (PASSWORD, KEY_PASSWORD, WRONG, DATABASE_PASSWORD, NEW_PASSWORD)
MANUAL = (TOP / "docs" / "security.md").read_text()


def shown(heading):
    """The block that stands under a heading of docs/security.md."""
    return re.search(rf"^### {re.escape(heading)}$.*?^```\n(.*?)^```$", MANUAL, re.M | re.S).group(1)


LOGIN, CERTIFICATE, RIGHTS = shown("A login, by TLS (SASL_SCRAM)"), shown("A certificate of our own (mutual TLS)"), shown("Rights")
DATABASE_LOGIN = shown("A password, by TLS")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("security")


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder)


@pytest.fixture(scope="module")
def secure_kafka(authority):
    with closing(SecureKafka(authority, {"debitd": PASSWORD, "rich": PASSWORD})) as server:
        yield server.start()


class Secured:
    """A world on the secure broker, and daemons with the text of the manual as their configuration."""

    def __init__(self, world, authority, place):
        self.world, self.kafka, self.authority, self.place = world, world.kafka, authority, place
        self.credentials = place / "credentials"
        self.credentials.mkdir()
        self.keep("kafka-password", PASSWORD)
        (place / "kafka-ca.pem").write_bytes(authority.certificate.read_bytes())

    def keep(self, name, secret, mode=0o600):
        path = self.credentials / name
        path.write_text(secret + "\n")
        path.chmod(mode)

    def grant(self, lines):
        """Runs lines of the manual, with this world's names."""
        names = {"usage.events": "usage", "usage.accounts": "accounts", "usage.alerts": "alerts",
                 "usage.deadletter": "deadletter"}
        for line in lines.splitlines():
            words = line.split()[3:]  # behind kafka-acls.sh --bootstrap-server …
            self.kafka.acls(*[self.world.topics[names[word]] if word in names else self.world.name if word == "debitd"
                              else f"debitd-relay-{self.world.name}" if word == "debitd-relay-debitd"
                              else word for word in words])

    def start(self, text, listener, wait=True, **groups):
        """A daemon whose group `kafka` is a block of the manual; `groups` replace those of the world."""
        block = text.replace("kafka.example.com:9093", self.kafka.server[listener]).replace("/etc/debitd/", f"{self.place}/")
        block = block.replace("properties = (", f'group_id = "{self.world.name}";\n    properties = ( ("session.timeout.ms", "6000"),')
        config = {**self.world.config, "log": {"level": "debug"}, **groups}
        daemon = Debitd(self.place, config, f"secured-{len(self.world.daemons) + 1}")
        daemon.config_path.write_text(block + "".join(f"{name} = {libconfig(value)};\n" for name, value in config.items()
                                                      if name != "kafka"))
        daemon.config_path.chmod(0o640)
        self.world.daemons.append(daemon)
        return daemon.start(wait=wait, env={"CREDENTIALS_DIRECTORY": str(self.credentials)})

    def book(self, total=1):
        """Usage comes in and an alert goes out."""
        self.world.catalog()
        self.world.account("account.opened", "acme", plan="quota-free")  # 5 signatures a month
        self.world.usage("acme", metric="signatures", quantity=6)
        self.world.produce("usage", b"no event", key="x")
        self.world.wait_booked(total)
        assert {alert["data"]["threshold"] for alert in self.world.alerts("usage.threshold.reached")} == {80, 100}
        assert len(self.world.topic_messages("deadletter")) == 1
        self.world.verify()

    def wait_words(self, daemon, *words):
        """In one line of the log, and the first of them in the status that the service manager hears."""
        said = re.compile(".*".join(map(re.escape, words)))
        self.world.wait(lambda: said.search(daemon.text()), f"the log to say: {' … '.join(words)}")
        self.world.wait(lambda: any(words[0] in line for line in daemon.heard() if line.startswith("STATUS=")),
                        f"the status to say: {words[0]}")


@pytest.fixture
def secured(secure_kafka, postgres, migrated, authority, seed, request, tmp_path):
    world = World(secure_kafka, postgres, seed, request.node.name, template=migrated)
    try:
        yield Secured(world, authority, tmp_path)
        for daemon in world.daemons:
            daemon.kill() if daemon.running else None
            assert not [secret for secret in SECRETS if secret in daemon.text()], "a secret stands in the log"
            assert not [line for line in daemon.said for secret in SECRETS if secret in line]
    finally:
        world.close()


# ---------------------------------------------------------------- Kafka

def test_each_right_that_is_missing_is_named_and_with_those_of_the_manual_a_login_books_and_publishes(secured):
    read, out, transactions = RIGHTS.splitlines()
    daemon = secured.start(LOGIN, "scram", wait=False)
    secured.wait_words(daemon, "Topic authorization failed", "grant READ on the topics of topics.usage and topics.accounts")
    secured.grant(read.replace(" --group debitd", ""))
    name = secured.world.name
    secured.wait_words(daemon, "Group authorization failed", f"grant READ on the group {name} (kafka-acls.sh, docs/security.md)")
    assert "READY=1" not in daemon.heard()
    secured.grant(read)
    daemon.wait_ready()  # usage is booked while alerts cannot go out
    secured.wait_words(daemon, "relay: asking Kafka for the topic", "READ, WRITE and DESCRIBE on those of topics.alerts and topics.dead_letter")
    secured.grant(out)
    secured.wait_words(daemon, "Transactional Id authorization failed",
                       f"grant WRITE and DESCRIBE on the transactional id debitd-relay-{name}")
    secured.grant(transactions)
    secured.book()
    secured.world.wait(lambda: f"each partition belongs to a member of group {name}" in daemon.text(),
                       "the daemon to be told who has what in its group")
    # nobody on this machine sees a secret of the process, be it as its own user
    for shown_to_all in ("cmdline", "environ"):
        with open(f"/proc/{daemon.child.pid}/{shown_to_all}", "rb") as file:
            text = file.read()
        assert not [secret for secret in SECRETS if secret.encode() in text]
    assert daemon.stop() == 0


def test_a_certificate_with_an_encrypted_key_logs_in_as_documented(secured):
    ours = secured.authority.issue("rich", password=KEY_PASSWORD)
    (secured.place / "kafka.pem").write_bytes(ours.certificate.read_bytes())
    (secured.place / "kafka.key").write_bytes(ours.key.read_bytes())
    secured.keep("kafka-key-password", KEY_PASSWORD)
    daemon = secured.start(CERTIFICATE, "mutual")
    secured.book()
    assert daemon.stop() == 0


@pytest.mark.parametrize("listener, why", [("expired", "certificate has expired"), ("elsewhere", "hostname mismatch")])
def test_a_broker_that_shows_a_bad_certificate_is_not_trusted_and_the_reason_is_said(secured, listener, why):
    text = LOGIN.replace("SASL_SSL", "SSL")
    daemon = secured.start(text, listener, wait=False)
    secured.wait_words(daemon, f"the certificate of {secured.kafka.server[listener]} is not accepted", why,
                       "check ssl.ca.location, the host names in kafka.bootstrap_servers and the dates of the certificate")
    assert "READY=1" not in daemon.heard()
    assert daemon.stop() == 0


def test_a_broker_of_an_unknown_authority_is_not_trusted_and_the_reason_is_said(secured, tmp_path):
    other = Authority(tmp_path, "other")
    (secured.place / "kafka-ca.pem").write_bytes(other.certificate.read_bytes())
    daemon = secured.start(LOGIN, "scram", wait=False)
    secured.wait_words(daemon, "is not accepted: unable to get local issuer certificate", "check ssl.ca.location")
    secured.world.wait(lambda: re.search("relay: .*is not accepted: unable to get local issuer", daemon.text()), "the relay's words")
    assert daemon.stop() == 0


def test_a_wrong_password_is_said_tried_now_and_then_and_read_again_when_it_is_mended(secured):
    secured.keep("kafka-password", WRONG)
    before = secured.kafka.refused_logins()
    daemon = secured.start(LOGIN.replace('"debitd"', '"rich"'), "scram", wait=False)
    secured.wait_words(daemon, "Authentication failed", 'check sasl.username "rich", sasl.mechanism and the password in the file '
                       "kafka-password, which is read again at every attempt")
    assert "READY=1" not in daemon.heard()
    # complaints come after 0, 1 and 3 s: by then a loop without a pause would have tried some hundred times, at one attempt a core in 10 ms
    secured.world.wait(lambda: daemon.text().count("Kafka refuses us") >= 3, "the third complaint")
    assert 2 <= secured.kafka.refused_logins() - before < 40
    secured.keep("kafka-password", PASSWORD)
    daemon.wait_ready()
    secured.book()
    assert "Kafka lets us in" in daemon.text()
    secured.world.wait(lambda: "Authentication" not in [s for s in daemon.heard() if s.startswith("STATUS=")][-1], "a status without it")
    assert daemon.stop() == 0


# ---------------------------------------------------------------- PostgreSQL

@pytest.fixture(scope="module")
def secure_postgres(authority):
    server = SecurePostgres(authority, "debitd", "certified")
    try:
        server.start()
        migrate_template(server, "debitd")
        with server.connect("postgres") as connection:
            connection.execute("SET password_encryption = 'scram-sha-256'")
            connection.execute(f"CREATE ROLE debitd LOGIN PASSWORD '{DATABASE_PASSWORD}' IN ROLE debitd_writer")
            connection.execute("CREATE ROLE certified LOGIN IN ROLE debitd_writer")
        yield server
    finally:
        server.close()


class Guarded:
    """Daemons whose database lets nobody in without TLS, on the plain broker of all tests."""

    def __init__(self, world, server, authority, place):
        self.world, self.server, self.authority, self.place = world, server, authority, place
        (place / "postgres-ca.pem").write_bytes(authority.certificate.read_bytes())
        self.keep(DATABASE_PASSWORD)

    def keep(self, secret, mode=0o600):
        path = self.place / "postgres-password"
        path.write_text(secret + "\n")
        path.chmod(mode)

    def conninfo(self, block=DATABASE_LOGIN):
        text = re.search('conninfo = "(.*?)";', block).group(1)
        return text.replace("host=db.example.com", self.server.server).replace("/etc/debitd/", f"{self.place}/")

    def start(self, conninfo=None, wait=True):
        return self.world.start(wait=wait, env={"CREDENTIALS_DIRECTORY": str(self.place)}, log={"level": "debug"},
                                postgres={"conninfo": conninfo or self.conninfo()})


@pytest.fixture
def guarded(world, secure_postgres, authority, tmp_path):
    with secure_postgres.connect("debitd") as connection:  # the cluster that positions belong to is another in each test
        connection.execute("TRUNCATE debitd.position")
    yield Guarded(world, secure_postgres, authority, tmp_path)
    for daemon in world.daemons:
        assert not [secret for secret in SECRETS if secret in daemon.text()], "a secret stands in the log"


def test_a_password_by_file_over_verified_tls_lets_it_in_as_documented(guarded):
    daemon = guarded.start()
    with guarded.server.connect("postgres") as connection:
        sessions = connection.execute("SELECT DISTINCT usename, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                                      " WHERE application_name LIKE 'debitd/%'").fetchall()
    assert sessions == [("debitd", True)]
    assert daemon.stop() == 0


def test_a_certificate_lets_it_in_as_documented_and_debitctl_too(guarded):
    ours = guarded.authority.issue("certified", host=None)
    (guarded.place / "postgres.pem").write_bytes(ours.certificate.read_bytes())
    key = guarded.place / "postgres.key"
    key.write_bytes(ours.key.read_bytes())
    key.chmod(0o600)
    conninfo = guarded.conninfo(shown("A certificate of our own")).replace("user=debitd", "user=certified")
    daemon = guarded.start(conninfo)
    done = debitctl(daemon.config_path, "status")
    assert done.data["schema"] == "is this program's"
    assert daemon.stop() == 0


@pytest.mark.parametrize("fault, code, words", [
    ("wrong password", 77, 'password authentication failed for user "debitd"'),
    ("no file", 78, "password_file: the file {place}/postgres-password cannot be read: No such file or directory"),
    ("open file", 78, "password_file: the file {place}/postgres-password has mode 0644, so others can get at the secret in it: chmod 0400"),
    ("unknown authority", None, "is not of the authority in sslrootcert, or its dates are over"),
    ("wrong host", None, 'server certificate for "localhost" (and 1 other name) does not match host name "127.0.0.1"'),
    ("expired", None, "is not of the authority in sslrootcert, or its dates are over"),
])
def test_a_server_that_cannot_be_trusted_or_does_not_trust_us_is_told_in_words(guarded, tmp_path_factory, fault, code, words):
    conninfo = guarded.conninfo()
    if fault == "wrong password":
        guarded.keep(WRONG)
    if fault == "no file":
        (guarded.place / "postgres-password").unlink()
    if fault == "open file":
        guarded.keep(DATABASE_PASSWORD, 0o644)
    if fault == "unknown authority":
        other = Authority(tmp_path_factory.mktemp("other"))
        (guarded.place / "postgres-ca.pem").write_bytes(other.certificate.read_bytes())
    if fault == "wrong host":
        conninfo = conninfo.replace("host=localhost", "host=127.0.0.1")
    if fault == "expired":
        guarded.server.use(guarded.authority.issue("old", days=-1))
        guarded.server.reload()
    try:
        daemon = guarded.start(conninfo, wait=False)
        guarded.world.wait(lambda: words.format(place=guarded.place) in daemon.text(), "the words")
        if not code:
            guarded.world.wait(lambda: any(words in line for line in daemon.heard() if line.startswith("STATUS=")), "the status")
        assert "READY=1" not in daemon.heard()
        assert daemon.wait_exit() == code if code else daemon.stop() == 0
    finally:
        if fault == "expired":
            guarded.server.use(guarded.authority.issue("postgres"))
            guarded.server.reload()


def test_a_password_changes_without_a_restart(guarded):
    daemon = guarded.start()
    with guarded.server.connect("postgres") as connection:
        connection.execute(f"ALTER ROLE debitd PASSWORD '{NEW_PASSWORD}'")
        try:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'debitd/%'"
            connection.execute(ended)
            guarded.world.wait(lambda: 'password authentication failed for user "debitd"' in daemon.text(), "the words")
            guarded.keep(NEW_PASSWORD)
            alive = ("SELECT count(DISTINCT application_name) FROM pg_stat_activity WHERE application_name IN"
                     " ('debitd/keeper', 'debitd/relay')")
            guarded.world.wait(lambda: connection.execute(alive).fetchone()[0] == 2, "new sessions")
            assert daemon.stop() == 0
        finally:
            connection.execute(f"ALTER ROLE debitd PASSWORD '{DATABASE_PASSWORD}'")


# ---------------------------------------------------------------- what is allowed but should be known

def test_what_is_allowed_but_should_be_known_is_warned_of_once_a_start(world):
    daemon = Debitd(world.folder, {
        "kafka": {"bootstrap_servers": "broker.invalid:9092", "properties": [["sasl.password", PASSWORD]]},
        "postgres": {"conninfo": f"host=db.invalid dbname=debitd password={DATABASE_PASSWORD}"}}, "careless")
    daemon.config_path.chmod(0o644)
    daemon.start(wait=False)
    world.daemons.append(daemon)
    world.wait(lambda: "waiting for PostgreSQL" in daemon.text(), "the first attempt")
    for warning in ("kafka: security.protocol is PLAINTEXT, so events travel unencrypted to broker.invalid:9092",
                    "postgres: sslmode is prefer, so the connection may be unencrypted to db.invalid",
                    f"{daemon.config_path} holds a secret (sasl.password) and can be read by everybody on this machine: chmod 0640"):
        assert daemon.text().count(warning) == 1
    assert daemon.stop() == 0
    assert not [secret for secret in SECRETS if secret in daemon.text() + "".join(daemon.said)]


def test_a_database_whose_commits_do_not_last_is_warned_of(world):
    server = Postgres({"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"})
    try:
        server.start()
        migrate_template(server, "debitd")
        daemon = world.start(postgres={"conninfo": server.conninfo("debitd", WRITER)})
        assert "PostgreSQL runs with fsync=off, full_page_writes=off: when its machine fails, entries that were committed can be lost" in daemon.text()
        # what a session can overrule is not warned of
        with server.connect("postgres") as connection:
            connection.execute("ALTER SYSTEM SET fsync = on")
            connection.execute("ALTER SYSTEM SET full_page_writes = on")
            connection.execute("SELECT pg_reload_conf()")
        assert daemon.stop() == 0
        again = world.start(postgres={"conninfo": server.conninfo("debitd", WRITER)})
        assert "PostgreSQL runs with" not in again.text()
        assert again.stop() == 0
    finally:
        server.close()
