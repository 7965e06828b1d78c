"""Does what a page says, as a reader would who copies it into an empty folder.

    python page.py PAGE.md FOLDER

A block under a line `**NAME**` becomes the file NAME, a `sh` block is run by bash, a `python` block without a name by
Python. What stands in a block without a language was printed by one of the commands before it: each of its lines must
be among theirs, `…` being anything. Exit code 1 where a command fails, or a line is not there.
"""

import pathlib
import re
import subprocess
import sys


def blocks(text):
    """Name, language and content of every fenced block."""
    name, language, lines = None, None, None
    for line in text.splitlines():
        if lines is not None:
            if line.startswith("```"):
                yield name, language, "\n".join(lines) + "\n"
                name, lines = None, None
            else:
                lines.append(line)
        elif line.startswith("```"):
            language, lines = line[3:].strip(), []
        elif line.strip():
            found = re.fullmatch(r"\*\*([\w.-]+)\*\*", line.strip())
            name = found and found[1]


def main(page, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    printed = []
    failed = 0
    for name, language, content in blocks(pathlib.Path(page).read_text()):
        if name:
            (folder / name).write_text(content)
        elif language in ("sh", "python"):
            command = ["bash", "-euo", "pipefail", "-c", content] if language == "sh" else ["python", "-c", content]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            printed += [line.strip() for line in done.stdout.splitlines()]
            sys.stdout.write("".join(f"    {line}\n" for line in done.stdout.splitlines()))
            if done.returncode != 0:
                print(f"FAILED with {done.returncode}:\n{content}\n{done.stderr}")
                return 1
        elif language == "":
            for line in filter(None, map(str.strip, content.splitlines())):
                pattern = ".*".join(re.escape(piece) for piece in line.split("…"))
                if not any(re.fullmatch(pattern, one) for one in printed):
                    print(f"NOT PRINTED: {line}")
                    failed = 1
    return failed


sys.exit(main(*sys.argv[1:]))
