"""editmilter - a pymilter filter that makes the edits which a file names, for any MTA.

    python3 editmilter.py SOCKET SCRIPT

SCRIPT is JSON, read anew at each end of message: a list of edits, each a list of a name and its
arguments: ["add", NAME, VALUE], ["insert", INDEX, NAME, VALUE], ["change", INDEX, NAME, VALUE],
["from", ADDRESS, ARGS], ["rcpt", ADDRESS, ARGS], ["unrcpt", ADDRESS], ["body", TEXT]. What the
filter saw is written to SCRIPT.seen.
"""

import json
import sys

import Milter


class Editor(Milter.Base):
    script = None

    def connect(self, hostname, family, hostaddr):
        self.seen = {}
        return Milter.CONTINUE

    def envfrom(self, address, *parameters):
        self.seen = {"from": address, "rcpt": [], "headers": [], "body": ""}
        return Milter.CONTINUE

    def envrcpt(self, address, *parameters):
        self.seen["rcpt"].append(address)
        return Milter.CONTINUE

    def header(self, name, value):
        self.seen["headers"].append([name, value])
        return Milter.CONTINUE

    def body(self, chunk):
        self.seen["body"] += chunk.decode("latin-1")
        return Milter.CONTINUE

    def eom(self):
        edits = {
            "add": lambda name, value: self.addheader(name, value),
            "insert": lambda index, name, value: self.addheader(name, value, index),
            "change": lambda index, name, value: self.chgheader(name, index, value),
            "from": lambda address, args: self.chgfrom(address, *args),
            "rcpt": lambda address, args: self.addrcpt(address, *args),
            "unrcpt": self.delrcpt,
            "body": lambda text: self.replacebody(text.encode("latin-1")),
        }
        with open(self.script, encoding="utf-8") as file:
            for name, *arguments in json.load(file):
                edits[name](*arguments)
        with open(self.script + ".seen", "w", encoding="utf-8") as file:
            json.dump(self.seen, file)
        return Milter.ACCEPT


def main():
    socket, Editor.script = sys.argv[1:]
    Milter.factory = Editor
    Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS | Milter.CHGBODY | Milter.ADDRCPT
                     | Milter.DELRCPT | Milter.CHGFROM | Milter.ADDRCPT_PAR)
    Milter.runmilter("editmilter", socket, 60)


if __name__ == "__main__":
    main()
