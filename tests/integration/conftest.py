"""Servers once for all tests (of each process, where several run side by side), a world for each. See tests/rig."""

import os
import random
import sys
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.rig.kafka import Kafka  # noqa: E402
from tests.rig.postgres import Postgres  # noqa: E402
from tests.rig.world import World, migrate_template  # noqa: E402
from tests.integration.sql_books import SqlBooks, make_template  # noqa: E402

SEED = int(os.environ.get("DEBITD_SEED") or random.randrange(1, 2**31))
os.environ["DEBITD_SEED"] = str(SEED)  # the same for all that run side by side


def pytest_addoption(parser):
    parser.addoption("--only", default="", help="only tests whose name (file::test) has this in it")
    parser.addoption("--build-for", action="append", default=[], metavar="TEST=FOLDER",
                     help="only the tests named so, each with the programs of its folder")


def pytest_report_header():
    return f"DEBITD_SEED={SEED}"


def pytest_configure(config):
    config.addinivalue_line("markers", "world(partitions=4, limits={}): how the test's topics are made")
    config.addinivalue_line("markers", "unsanitized: preloads what a sanitizer has its own of")
    config.addinivalue_line("markers", "unwrapped: looks at the process itself, which is another where valgrind runs the program")


def pytest_collection_modifyitems(config, items):
    wanted = list(builds(config)) or [config.getoption("--only")]
    left_out = [item for item in items if not any(name in item.nodeid for name in wanted)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def builds(config):
    """Parts of tests' names, and the folder each has its programs from."""
    return dict(given.split("=", 1) for given in config.getoption("--build-for"))


@pytest.fixture(autouse=True)
def own_build(request, monkeypatch):
    for name, folder in builds(request.config).items():
        if name in request.node.nodeid:
            monkeypatch.setenv("DEBITD_BUILD", folder)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        report.sections.append(("seed", f"DEBITD_SEED={SEED}"))
        world = item.funcargs.get("world") if hasattr(item, "funcargs") else None
        if world is not None and call.when == "call":
            report.sections.append(("the world at the failure", world.dump()))


@pytest.fixture(scope="session")
def seed():
    return SEED


@pytest.fixture(scope="session")
def kafka():
    with closing(Kafka()) as server:
        yield server.start()


@pytest.fixture(scope="session")
def postgres():
    with closing(Postgres()) as server:
        yield server.start()


@pytest.fixture
def server():
    """A PostgreSQL of the test's own."""
    with closing(Postgres()) as made:
        yield made.start()


@pytest.fixture(scope="session")
def migrated(postgres):
    """The name of a database fresh from `debitctl migrate`, copied for every world."""
    return migrate_template(postgres, "migrated")


@pytest.fixture
def world(request, kafka, postgres, migrated, seed):
    marker = request.node.get_closest_marker("world")
    made = World(kafka, postgres, seed, request.node.name, template=migrated, **(marker.kwargs if marker else {}))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def sql_template(postgres):
    """The name of a database made from the files in schema/ alone, with a small catalogue."""
    return make_template(postgres)


@pytest.fixture
def books(postgres, sql_template):
    made = SqlBooks(postgres, sql_template)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def acting(books):
    """acting(role) gives a connection as that role."""
    opened = []

    def connect(role):
        opened.append(books.connect(role))
        return opened[-1]
    yield connect
    for connection in opened:
        connection.close()
