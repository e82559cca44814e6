"""debitctl verify finds every kind of damage, names it, and finds nothing where there is none."""

import itertools

import pytest

from tests.integration.ctl_stream import book
from tests.rig.daemon import TOP, debitctl, write_config
from tests.rig.world import World

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def booked(kafka, postgres, migrated, seed):
    world = World(kafka, postgres, seed, "ctl_verify", partitions=2, template=migrated)
    try:
        book(world)
        assert world.verify().out.endswith(" checks, 0 differences\n")
        world._sql.close()
        yield world
    finally:
        world.close()


ENTRY = "(SELECT l.entry_id FROM debitd.ledger l WHERE l.event_id = '{}' AND l.type = 'usage')"
CHAT_1, CHAT_3, SIGN_4 = ENTRY.format("chat-1"), ENTRY.format("chat-3"), ENTRY.format("sign-4")
SOLO = "(SELECT a.account_id FROM debitd.account a WHERE a.name = 'solo')"
COLUMNS = ("account_id, payer_id, type, occurred_at, booked_at, counted_on, source_id, event_id, service_id, model_id, metric_id, quantity,"
           " component_ids, component_quantities, component_costs, component_charges, component_prices, currency_id, cost, amount, unit_id,"
           " balance_after, plan_id, charge_kind, price_source, late, corrects, metadata")

DAMAGE = [
    # what was done to the books, and the checks that must find it
    (f"UPDATE debitd.payer SET spent = spent + 0.000000000001 WHERE payer_id = {SOLO}", {"balances"}),
    (f"UPDATE debitd.payer SET purchased = purchased + 1, refunded = refunded - 1 WHERE payer_id = {SOLO}", {"balances"}),
    (f"UPDATE debitd.payer SET balance = balance + 1 WHERE payer_id = {SOLO}", {"balances", "chain"}),
    (f"UPDATE debitd.payer SET has_charge = false WHERE payer_id = {SOLO}", {"balances"}),
    (f"UPDATE debitd.ledger SET balance_after = balance_after + 0.000000000001 WHERE entry_id = {CHAT_1}", {"chain"}),
    (f"UPDATE debitd.ledger SET balance_after = balance_after + 1 WHERE payer_id = {SOLO}", {"chain"}),
    (f"UPDATE debitd.ledger SET amount = amount - 1, balance_after = balance_after - 1 WHERE entry_id = {CHAT_1}",
     {"balances", "chain", "usage", "components"}),
    (f"DELETE FROM debitd.ledger WHERE entry_id = {CHAT_1}", {"balances", "chain", "usage", "usage_daily", "identities"}),
    (f"DELETE FROM debitd.ledger WHERE entry_id = {ENTRY.format('byok-1')}", {"usage", "usage_daily", "identities"}),
    ("UPDATE debitd.usage SET used = used + 0.000001 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET events = events + 1 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET cost = cost + 1 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET charge = charge - 1 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET overage_charge = overage_charge + 0.01 WHERE period = 'm'", {"usage"}),
    ("UPDATE debitd.usage SET used = used - 1 WHERE period = 'd'", {"usage"}),
    ("DELETE FROM debitd.usage WHERE period = 'd'", {"usage"}),
    ("INSERT INTO debitd.usage SELECT payer_id, metric_id, period, period_start - 31, events, used, currency_id, cost, charge, overage_charge"
     " FROM debitd.usage", {"usage"}),
    (f"UPDATE debitd.usage_daily SET charge = charge + 0.000000000001 WHERE account_id = {SOLO}", {"usage_daily"}),
    ("UPDATE debitd.usage_daily SET events = events - 1", {"usage_daily"}),
    ("DELETE FROM debitd.usage_daily", {"usage_daily"}),
    ("UPDATE debitd.usage_daily SET component_id = component_id + 1000", {"usage_daily"}),
    ("UPDATE debitd.batch SET folded = false", {"usage_daily"}),
    ("DELETE FROM debitd.batch", {"batches"}),
    ("INSERT INTO debitd.batch (entry_lo, entry_hi, booked_at, folded) SELECT entry_lo, entry_hi, booked_at, true FROM debitd.batch", {"batches"}),
    ("UPDATE debitd.batch SET entry_hi = entry_lo - 1", {"batches"}),
    ("UPDATE debitd.position SET parked = parked + 1", {"positions"}),
    ("UPDATE debitd.position SET rejected = rejected - 1", {"positions"}),
    ("UPDATE debitd.position SET booked = 0", {"positions"}),
    ("UPDATE debitd.position SET booked = booked + 100, next_offset = next_offset + 100", {"positions"}),
    ("UPDATE debitd.position SET next_offset = 1", {"positions"}),
    ("DELETE FROM debitd.position", {"positions"}),
    ("DELETE FROM debitd.rejected WHERE reason = 'bad_quantity'", {"positions"}),
    (f"DELETE FROM debitd.event_key WHERE entry_id = {CHAT_1}", {"identities"}),
    (f"UPDATE debitd.event_key SET entry_id = NULL WHERE entry_id = {CHAT_1}", {"identities"}),
    (f"UPDATE debitd.event_key SET entry_id = {CHAT_3} WHERE entry_id = {CHAT_1}", {"identities"}),
    ("INSERT INTO debitd.event_key SELECT (month + interval '1 month')::date, key, digest, entry_id FROM debitd.event_key", {"identities"}),
    ("DELETE FROM debitd.event_key k USING debitd.ledger l WHERE k.entry_id = l.entry_id AND l.type = 'purchase'", {"identities"}),
    (f"UPDATE debitd.ledger SET event_id = 'another' WHERE entry_id = {CHAT_1}", {"identities"}),
    (f"INSERT INTO debitd.ledger (entry_id, {COLUMNS}) SELECT entry_id + 500000, {COLUMNS} FROM debitd.ledger WHERE entry_id = {CHAT_1}",
     {"twice", "balances", "chain", "usage", "usage_daily", "batches", "identities"}),
    (f"UPDATE debitd.ledger SET component_quantities[1] = component_quantities[1] + 1 WHERE entry_id = {CHAT_1}", {"components", "usage_daily"}),
    (f"UPDATE debitd.ledger SET component_costs[1] = component_costs[1] + 1 WHERE entry_id = {CHAT_1}", {"components", "usage_daily"}),
    (f"UPDATE debitd.ledger SET component_charges[1] = component_charges[1] + 1 WHERE entry_id = {CHAT_1}", {"components", "usage_daily"}),
    (f"UPDATE debitd.ledger SET component_ids[2] = component_ids[1] WHERE entry_id = {CHAT_1}", {"components", "usage_daily"}),
    (f"UPDATE debitd.ledger SET cost = cost + 0.01 WHERE entry_id = {CHAT_1}", {"components", "usage"}),
    ("UPDATE debitd.ledger SET corrects = corrects + 1 WHERE type = 'void'", {"voids"}),
    ("UPDATE debitd.ledger SET quantity = quantity - 1 WHERE type = 'void'", {"voids", "components", "usage"}),
    ("DELETE FROM debitd.voided", {"voids"}),
    (f"INSERT INTO debitd.voided SELECT k.key, k.key FROM debitd.event_key k WHERE k.entry_id = {CHAT_1}", {"voids"}),
    (f"UPDATE debitd.ledger SET cost = 'NaN' WHERE entry_id = {CHAT_1}", {"bounds", "components", "usage"}),
    (f"UPDATE debitd.ledger SET balance_after = 1e18 WHERE entry_id = {CHAT_1}", {"bounds", "chain"}),
    (f"UPDATE debitd.ledger SET quantity = quantity + 0.0000001 WHERE entry_id = {CHAT_1}", {"bounds", "components", "usage"}),
    ("UPDATE debitd.payer SET balance = 'Infinity'", {"bounds", "balances", "chain"}),
    ("UPDATE debitd.alert SET published_at = NULL", {"outbox"}),
    ("UPDATE debitd.alert SET state = 0", {"outbox"}),
    ("UPDATE debitd.alert SET state = 1, published_at = NULL, relay_epoch = NULL", {"outbox"}),
    ("UPDATE debitd.alert SET state = 3", {"outbox"}),
    ("UPDATE debitd.alert SET event = jsonb_set(event, '{subject}', '\"somebody\"')", {"outbox"}),
    ("UPDATE debitd.alert SET entry_id = entry_id + 700000 WHERE type = 'balance.exhausted'", {"outbox"}),
    ("UPDATE debitd.rejected SET published_at = NULL", {"outbox"}),
    ("UPDATE debitd.relay SET epoch = 0", {"outbox"}),
    ("DELETE FROM debitd.event_key k USING debitd.parked p WHERE p.event_key = k.key AND p.released_at IS NULL", {"parked"}),
    ("UPDATE debitd.parked SET entry_id = entry_id + 1 WHERE topic_kind = 'usage'", {"parked", "identities"}),
    ("UPDATE debitd.parked SET outcome = NULL WHERE outcome = 'voided'", {"parked"}),
    ("DELETE FROM debitd.parked WHERE released_at IS NULL", {"positions"}),
    (f"UPDATE debitd.account SET payer_id = {SOLO} WHERE name = 'firm'", {"accounts"}),
    ("UPDATE debitd.payer SET plan_name_id = NULL", {"accounts"}),
    (f"UPDATE debitd.ledger SET account_id = 99999 WHERE entry_id = {CHAT_1}", {"accounts", "usage_daily"}),
    (f"UPDATE debitd.ledger SET counted_on = counted_on - 1 WHERE entry_id = {CHAT_1}", {"accounts", "usage_daily"}),
]


@pytest.mark.parametrize("damage, found_by", DAMAGE, ids=[damage[0][:70] for damage in DAMAGE])
def test_verify_finds(booked, postgres, tmp_path, damage, found_by):
    name = f"ctl_verify_copy_{next(_numbers)}"
    postgres.create_database(name, booked.name)
    try:
        with postgres.connect(name) as connection:
            connection.execute("SET session_replication_role = replica")  # or the triggers would refuse it
            assert connection.execute(damage).rowcount > 0
        config = write_config(tmp_path / "copy.conf", {"postgres": {"conninfo": postgres.conninfo(name)}})
        differences = debitctl(config, "verify", expect=1).data
        assert found_by <= {difference["check"] for difference in differences}
    finally:
        postgres.drop_database(name)


def test_people_get_each_difference_on_a_line(booked, postgres, tmp_path):
    postgres.create_database("ctl_verify_people", booked.name)
    try:
        with postgres.connect("ctl_verify_people") as connection:
            connection.execute(f"UPDATE debitd.payer SET spent = spent + 1 WHERE payer_id = {SOLO}")
        config = write_config(tmp_path / "copy.conf", {"postgres": {"conninfo": postgres.conninfo("ctl_verify_people")}})
        lines = debitctl(config, "verify", expect=1, json=False).out.splitlines()
    finally:
        postgres.drop_database("ctl_verify_people")
    # spent: 0.15 + 0.3 + 13.333335, and chat-3 taken back
    assert lines == ["balances: payer=solo what=balance (by its sums) recorded=0.966665 computed=-0.033335",
                     "balances: payer=solo what=spent recorded=14.783335 computed=13.783335",
                     f"{len(checks())} checks, 2 differences"]


def checks():
    return {file.stem.lstrip("0123456789_") for file in (TOP / "schema" / "verify").glob("*.sql")}


def test_every_check_has_damage_that_it_finds():
    assert checks() == set().union(*(found_by for _, found_by in DAMAGE))
