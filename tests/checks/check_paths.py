#!/usr/bin/python3
"""Nothing of the machine that something was written on: no folders of it, and no hosts but well-known ones."""

import re

from sources import files, tell, text, top

# Written in two parts so that this file does not hold them itself.
FOLDERS = re.compile("/" + r"(work|home/\w+|Users/\w+)/(?!\.)|/tmp" + r"/\w/|/root" + r"/(?!debitd|\.m2)")
HOSTS = {
    "maven.apache.org", "www.w3.org", "kafka.apache.org", "github.com", "www.postgresql.org", "cloudevents.io",
    "www.freedesktop.org", "datatracker.ietf.org", "www.rfc-editor.org", "www.debian.org", "127.0.0.1", "localhost",
    "json-schema.org", "llvm.org", "docs.confluent.io", "hyperrealm.github.io", "jansson.readthedocs.io",
}
URL = re.compile(r"https?://([A-Za-z0-9.-]+)")
UNREADABLE = {".png", ".gif", ".svg", ".bin"}


def main():
    tree, findings = top(), []
    for path in files(tree):
        if path.suffix in UNREADABLE or "corpus" in path.parts:
            continue
        for number, line in enumerate(text(tree, path).split("\n"), 1):
            found = FOLDERS.search(line)
            if found:
                findings.append(f"{path}:{number}: a folder of one machine: {line.strip()[:100]}")
            for host in URL.findall(line):
                if host not in HOSTS and not host.endswith((".example", "example.com", "example.org")):
                    findings.append(f"{path}:{number}: a host that is not in this check's list: {host}")
    tell(findings)


main()
