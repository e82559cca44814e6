"""What processes cost, from /proc: CPU seconds and memory."""

import os
from collections import Counter
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def _stat(path):
    """(name, the fields after it); None where the process is gone."""
    try:
        text = path.read_text()
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, rest.split()


def cpu_s(pid):
    """CPU seconds of a process, all its threads."""
    _, fields = _stat(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / TICK


def threads_s(pid):
    """{name: CPU seconds} of the threads of a process; those of one name are summed, and those of librdkafka are one."""
    found = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        stat = _stat(task / "stat")
        if stat:
            name, fields = stat
            found["librdkafka" if name.startswith("rdk:") else name] += (int(fields[11]) + int(fields[12])) / TICK
    return dict(found)


def backends_s(connection):
    """{(process id, what it does): CPU seconds} of the sessions and the other processes of a PostgreSQL server."""
    found = {}
    for pid, name in connection.execute("SELECT pid, coalesce(nullif(application_name, ''), backend_type) FROM pg_stat_activity"):
        stat = _stat(Path(f"/proc/{pid}/stat"))
        if stat:
            found[pid, name] = (int(stat[1][11]) + int(stat[1][12])) / TICK
    return found


def family_s(pid):
    """CPU seconds of a process and its children, those included that have ended."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        stat = _stat(path)
        if stat is None:
            continue
        fields = stat[1]
        if path.parent.name == str(pid):
            total += sum(map(int, fields[11:15]))
        elif fields[1] == str(pid):
            total += int(fields[11]) + int(fields[12])
    return total / TICK


def machine_s():
    """CPU seconds that all processors together were busy."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / TICK


def memory_kib(pid):
    """(resident now, its peak) in KiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]), int(lines["VmHWM"].split()[0])


def machine():
    """What the figures were measured on."""
    model = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())["MemTotal"]
    return {"processors": len(os.sched_getaffinity(0)), "model": model[0] if model else os.uname().machine,
            "memory_mib": int(memory.split()[0]) // 1024, "kernel": os.uname().release,
            "load_average": os.getloadavg()[0]}
