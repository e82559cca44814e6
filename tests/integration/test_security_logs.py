"""Hostile bytes from events, names, keys, the command line and the server's errors: none reaches a log line, a status or a
terminal as it came (reliability matrix 43, invariant I10)."""

import json
import re
import subprocess

from tests.rig.daemon import build_folder

# ESC, BEL, CR, LF, DEL, CSI of C1, NEL, and the line and paragraph separators; what is in NAMES may stand in a name
CONTROLS = "\x1b[2J\x07\r\n\x7f\x9b31m\x85"
NAMES = "\u2028READY=1\u2029\u202e"
HOSTILE = CONTROLS + NAMES
FORBIDDEN = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
LINE_MOST = 8192


def assert_safe(what, raw, most=LINE_MOST):
    """No byte that a terminal or a reader of lines takes for a command, only UTF-8, no line without a bound."""
    found = FORBIDDEN.search(raw)
    assert not found, f"{what}: {raw[max(0, found.start() - 80):found.end() + 20]!r}"
    raw.decode("utf-8")
    assert max(map(len, raw.split(b"\n"))) < most, what


def ctl(config, *arguments, **options):
    # a terminal that shows all of Unicode; the most that would come through
    ran = subprocess.run([build_folder() / "debitctl", "--config", config, *arguments], capture_output=True, timeout=60,
                         env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin"}, **options)
    return ran.stdout + ran.stderr


def test_nothing_hostile_reaches_a_log_a_status_or_a_terminal(world):
    world.catalog()
    daemon = world.start(log={"level": "debug"})
    account = f"evil{NAMES}account"
    world.account("account.opened", account, plan="quota-free", name=f"name{NAMES}")
    world.account("account.opened", f"child{NAMES}", parent=f"nobody{NAMES}")                       # parked
    world.account("credits.granted", account, amount="-1", reason=HOSTILE)                           # bad_data
    world.account(f"type{HOSTILE}", account)                                                         # unknown_type
    world.account("plan.assigned", account, plan=f"plan{NAMES}")                                     # unknown_plan
    world.usage(account, metric="signatures", quantity=6, user=f"u{NAMES}", thread=f"t{NAMES}", metadata={HOSTILE: [HOSTILE]})
    world.usage(account, metric=f"metric{NAMES}", quantity=1)                                        # parked
    world.usage(account, metric="signatures", quantity=HOSTILE)                                      # bad_quantity
    world.usage(account, metric="signatures", quantity="1" * 60000)
    world.usage(account, metric=HOSTILE, quantity=1, id="x" * 256)
    world.usage(f"stranger{NAMES}" + "y" * 200, metric="signatures", quantity=1)                     # parked
    world.void(account, f"nothing{NAMES}")                                                           # unknown_event
    for value in (b"\xff\xfe\x00", HOSTILE.encode(), b'{"a": "' + HOSTILE.encode() + b'"', b"\xed\xa0\x80", b"{" + HOSTILE.encode() * 900):
        world.produce("usage", value, key=HOSTILE.encode() + b"\xff", headers=[(HOSTILE, HOSTILE.encode())])
    world.produce("usage", b"{}", key="k", headers=[("ce_specversion", HOSTILE.encode()), ("ce_id", b"\x00\xff")])
    world.wait_booked(1)
    assert world.value("SELECT count(*) FROM api.parked WHERE released_at IS NULL") == 3
    assert {row["reason"] for row in world.sql("SELECT DISTINCT reason FROM api.rejected")} == {
        "malformed_json", "not_a_cloudevent", "bad_attribute", "bad_data", "bad_quantity", "unknown_event", "unknown_plan"}
    # a server's error that quotes what we sent: nobody's fault, so it is told
    world.sql("ALTER TABLE debitd.ledger ADD CONSTRAINT never CHECK (user_id !~ 'bisect')")
    world.usage(account, metric="signatures", quantity=1, user=f"bisect{NAMES}")
    world.wait(lambda: "23514" in daemon.text(), "PostgreSQL's refusal")
    daemon.stop()
    log = daemon.log.read_bytes()
    assert b"23514" in log
    assert_safe("the log", log)
    for line in daemon.said:
        assert_safe("what the service manager hears", line.encode())
    letters = world.sql("SELECT rejected_id FROM debitd.rejected")
    for command in (["account", "show", account], ["balance", account], ["usage", account], ["ledger", account], ["alerts", account],
                    ["check", account, "signatures", "1"], ["rejected", "list"], ["parked", "list"], ["status"], ["verify"],
                    *(["rejected", "show", str(letter["rejected_id"])] for letter in letters)):
        for form in ([], ["--json"]):
            shown = ctl(world.owner_config, *form, *command)
            assert shown, command
            # a rejected message is shown whole, in base64
            assert_safe(" ".join(form + command), shown, 1 << 20 if command[:2] == ["rejected", "show"] else LINE_MOST)
    names = json.loads(ctl(world.owner_config, "--json", "account", "show", account))
    assert names["account_id" if "account_id" in names else "account"] == account  # escaped, not lost


def test_what_is_given_to_debitctl_is_told_back_safely(world):
    world.catalog()
    said = [ctl(world.owner_config, *command) for command in (
        ["account", "show", HOSTILE], ["account", "open", f"a{NAMES}", f"plan{HOSTILE}"], [HOSTILE], [f"--{HOSTILE}"],
        ["credit", "grant", f"a{NAMES}", HOSTILE], ["ledger", "x" * 5000], ["rejected", "list", "--reason", HOSTILE])]
    said.append(ctl("/nowhere/" + HOSTILE, "status"))
    said.append(ctl(world.owner_config, "--conninfo", f"host={world.folder} dbname='{HOSTILE}'", "status"))
    for text in said:
        assert text
        assert_safe("debitctl", text)
