"""Servers that ask who comes in: an authority and certificates made by openssl, a broker that listens with TLS, logins and
rights, a PostgreSQL that takes TLS only.

Everything is made anew for a test and removed with it. Hosts are called localhost, which is what the certificates name.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .kafka import Kafka, Listener
from .postgres import Postgres
from .process import free_port

ADMINS = "User:ANONYMOUS;User:rich;User:CN=rich"  # the tests, by the plain listener, and whose rights a test is not about


def openssl(*arguments, folder):
    ran = subprocess.run(["openssl", *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=60,
                         stdin=subprocess.DEVNULL)
    if ran.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed:\n{ran.stderr}")


@dataclass
class Certificate:
    """Paths of PEM files. `both` is key and certificate in one file, as a broker wants it."""

    key: Path
    certificate: Path
    both: Path


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder, name="authority"):
        self.folder, self.name = Path(folder) / name, name
        self.folder.mkdir(parents=True)
        self.certificate = self.folder / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2,
                "-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem", folder=self.folder)

    def issue(self, name, host="localhost", days=2, password=None):
        """A certificate for CN=`name`, for the host `host` where that is not None; `days` < 0: expired. With a
        password the key is kept encrypted."""
        key, request, made, both = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem", "both.pem"))
        secret = ["-aes-256-cbc", "-pass", f"pass:{password}"] if password else []
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", *secret, "-out", key,
                folder=self.folder)
        entry = ["-passin", f"pass:{password}"] if password else []
        openssl("req", "-new", "-key", key, *entry, "-subj", f"/CN={name}", "-out", request, folder=self.folder)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{host}\n" if host else "basicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", request, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", made, folder=self.folder)
        both.write_text(key.read_text() + made.read_text())
        key.chmod(0o600)
        return Certificate(key, made, both)


class _Local(Listener):
    """Known as localhost."""

    def at(self, port):
        return f"{self.name}://localhost:{port}"


class SecureKafka(Kafka):
    """A broker whose further listeners are `ssl`, `scram` (a login by SCRAM-SHA-512), `mutual` (a certificate of the
    client), and two that nobody must trust: `expired` and `elsewhere` (its certificate names another host). Who comes
    in has no rights but those of grant(); the plain listener is the tests' own, and may do everything."""

    def __init__(self, authority, users):
        """`users` are names with their passwords."""
        good = authority.issue("broker")
        certificates = {"ssl": good, "scram": good, "mutual": good, "expired": authority.issue("expired", days=-1),
                        "elsewhere": authority.issue("elsewhere", host="elsewhere.example")}
        listeners = [_Local(name.upper(), "SASL_SSL" if name == "scram" else "SSL", port, port)
                     for name, port in ((name, free_port()) for name in certificates)]
        self.server = {each.name.lower(): f"localhost:{each.port}" for each in listeners}
        settings = {"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                    "super.users": ADMINS, "ssl.endpoint.identification.algorithm": ""}
        for name, certificate in certificates.items():
            settings |= {f"listener.name.{name}.{key}": value for key, value in {
                "ssl.keystore.type": "PEM", "ssl.keystore.location": certificate.both,
                "ssl.truststore.type": "PEM", "ssl.truststore.location": authority.certificate,
                "ssl.client.auth": "required" if name == "mutual" else "none"}.items()}
        settings |= {"listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
                     "listener.name.scram.scram-sha-512.sasl.jaas.config":
                         "org.apache.kafka.common.security.scram.ScramLoginModule required;"}
        options = [word for name, password in users.items()
                   for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")]
        super().__init__(settings, listeners, options)
        broker = self.brokers[0]
        with open(broker.folder / "log4j.properties", "a") as logging:  # a line for each login that failed
            logging.write("log4j.logger.org.apache.kafka.common.network.Selector=INFO\n")

    def tool(self, program, *arguments):
        """One of Kafka's own administration programs, by the plain listener."""
        ran = subprocess.run(self.brokers[0].java(program, "--bootstrap-server", self.bootstrap, *arguments),
                             capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        if ran.returncode:
            raise RuntimeError(f"{program} {' '.join(arguments)} failed:\n{ran.stdout}{ran.stderr}")

    def acls(self, *arguments):
        """What kafka-acls.sh does."""
        self.tool("kafka.admin.AclCommand", "--force", *arguments)

    def set_password(self, user, password):
        self.tool("kafka.admin.ConfigCommand", "--alter", "--entity-type", "users", "--entity-name", user,
                  "--add-config", f"SCRAM-SHA-512=[password={password}]")

    def refused_logins(self):
        """How often somebody was refused for a wrong name or password."""
        return self.brokers[0].log.read_text(errors="replace").count("Failed authentication with")


class SecurePostgres(Postgres):
    """Takes TLS only by TCP: of `user` with a password (scram-sha-256), of `certified` with a certificate of that name;
    the unix socket is the tests' own."""

    def __init__(self, authority, user, certified):
        super().__init__({"ssl": "on", "ssl_cert_file": "server.pem", "ssl_key_file": "server.key",
                          "ssl_ca_file": "ca.pem"})
        (self.data / "pg_hba.conf").write_text(f"local all all trust\n"
                                               f"hostssl all {user} 127.0.0.1/32 scram-sha-256\n"
                                               f"hostssl all {certified} 127.0.0.1/32 cert\n")
        shutil.copy(authority.certificate, self.data / "ca.pem")
        self.use(authority.issue("postgres"))

    def use(self, certificate):
        """The server's certificate from the next start or reload on."""
        for path, name in ((certificate.key, "server.key"), (certificate.certificate, "server.pem")):
            target = self.data / name
            shutil.copy(path, target)
            target.chmod(0o600)
            if self.user:
                shutil.chown(target, self.user, self.user)

    def reload(self):
        with self.connect("postgres") as connection:
            connection.execute("SELECT pg_reload_conf()")

    @property
    def server(self):
        return f"host=localhost port={self.port}"
