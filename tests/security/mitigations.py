# SPDX-License-Identifier: BSD-3-Clause
"""What makes up each mitigation in SECURITY.md's table, for scripts/take-out-mitigations."""

import re
from pathlib import Path
from typing import NamedTuple

ROW = re.compile(
    r"^\| `(?P<name>[a-z0-9-]+)` \| (?P<threat>[^|]+) \| (?P<mitigation>[^|]+) \| `(?P<test>[^|`]+)` \|$",
    re.M,
)


class Row(NamedTuple):
    """A row of the table."""

    name: str
    threat: str
    mitigation: str
    test: str


class Change(NamedTuple):
    """Replaces the one place in a file that says `old`."""

    file: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """Return the text without the mitigation; ValueError where it is not the text that is meant."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} says {text.count(self.old)} times, not once: {self.old!r}")
        return text.replace(self.old, self.new)


def rows_of(page: Path) -> list[Row]:
    """Return the rows of the table of threats."""
    return [Row(**found.groupdict()) for found in ROW.finditer(page.read_text("utf-8"))]


def gate(file: str, old: str, new: str) -> Change:
    return Change(f"gate/slidegate_gate/{file}", old, new)


def server(file: str, old: str, new: str) -> Change:
    return Change(f"src/slidegate/{file}", old, new)


def web(file: str, old: str, new: str) -> Change:
    return Change(f"omero_web/omero_slidegate/{file}", old, new)


def never(file: str, condition: str) -> Change:
    """Take out what is refused under a condition of the gate."""
    return gate(file, f"if {condition}:", "if False:")


RESTRICT = gate("door/keyfile.py", "made): after}", 'made): after.replace(b"restrict,", b"")}')

MITIGATIONS: dict[str, list[Change]] = {
    # the door
    "any-command": [
        gate(
            "door/keyfile.py",
            "made): after}",
            'made): __import__("re").sub(rb\',command="[^"]*"\', b"", after)}',
        )
    ],
    "other-command": [never("__main__.py", 'command not in ("", "slidegate")')],
    "ports": [RESTRICT],
    "jump-host": [RESTRICT],
    "remote-ports": [RESTRICT],
    "terminal": [RESTRICT],
    "agent-and-screen": [RESTRICT],
    "rc-file": [RESTRICT],
    "stolen-key": [gate("door/line.py", "(['from=\"{}\"'.format(source)] if source else [])", "[]")],
    "old-key": [
        gate(
            "door/line.py",
            "options += ['expiry-time=\"{}\"'.format(until)] if until else []",
            "until = until",
        )
    ],
    "second-line": [never("door/keyfile.py", "place")],
    "key-file-of-others": [never("door/keyfile.py", "info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)")],
    "removed-key": [never("__main__.py", 'asked.key not in config.get("keys", {})')],
    "greeting-shell": [
        gate(
            "selftest/checks.py",
            'yield "no shell greets a key", partial(account.shell_is_silent, home, config)',
            "",
        )
    ],
    # frames and messages
    "frame-header": [
        gate(
            "protocol/frames.py",
            'if self._fill(data) != found.group(3).decode("ascii"):',
            "if not self._fill(data):",
        )
    ],
    "frame-body": [never("protocol/frames.py", "named != (hashed if body_bytes else None)")],
    "key-twice": [never("protocol/frames.py", "len(dict(pairs)) < len(pairs)")],
    "long-frame": [never("protocol/frames.py", "json_bytes > MAX_JSON or body_bytes > MAX_BODY")],
    "deep-json": [gate("protocol/frames.py", "except RecursionError:", "except ZeroDivisionError:")],
    "unknown-field": [
        gate("protocol/messages.py", "if set(shape) == set(fields):", "if set(shape) <= set(fields):")
    ],
    "path-for-digest": [
        gate("protocol/messages.py", 're.compile("[0-9a-f]{64}")', 're.compile("(?s).{1,300}")')
    ],
    "own-failure": [
        gate(
            "serve/loop.py",
            '"The gate failed; the reason is in its log under {}.".format(number)',
            "str(error)",
        )
    ],
    # what a key may use up
    "requests": [never("serve/limits.py", 'figures[1] > self.values["requests_per_minute"]')],
    "disk": [gate("serve/limits.py", 'self.check("bytes", figures[1], more)', "pass")],
    "attempts": [gate("serve/limits.py", "self.check(limit, used[limit], more)", "pass")],
    "channels": [never("__main__.py", "not free")],
    "silent-channel": [
        gate("protocol/frames.py", "self._ready.poll(self._idle)", "self._ready.poll(self._idle + 8000)")
    ],
    "deaf-client": [
        gate(
            "serve/loop.py",
            "signal.setitimer(signal.ITIMER_REAL, idle)  # ends a gate that nobody listens to",
            "",
        )
    ],
    # contents, Trees and plans
    "wrong-digest": [never("serve/trees.py", "self._hash.hexdigest() != self._digest")],
    "two-writers": [
        gate("serve/trees.py", "fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass")
    ],
    "hole": [never("serve/trees.py", "offset != begun")],
    "tree-names": [gate("protocol/messages.py", " and NAME.fullmatch(name) is not None", "")],
    "long-list": [gate("serve/trees.py", "MAX_TREE = 32 << 20", "MAX_TREE = 32 << 30")],
    "parameters": [
        gate("serve/checks.py", "if word in rules and not keeps(rules[word], value):", "if False:")
    ],
    "unknown-workflow": [never("serve/journal.py", "release is None")],
    "workflow-of-others": [never("serve/journal.py", "not self._allowed(release)")],
    "contents-of-others": [
        gate(
            "serve/layout.py",
            'os.path.join(config["data"], "keys", key)',
            'os.path.join(config["data"], "keys", "all")',
        )
    ],
    "attempts-of-others": [
        gate(
            "serve/layout.py",
            'os.path.join(self.state, "attempts")',
            'os.path.join(config["state"], "attempts")',
        )
    ],
    # jobs
    "environment-of-jobs": [
        gate(
            "schedulers/local_holder.py",
            'variables = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}',
            "variables = dict(os.environ)",
        ),
    ],
    "environment-of-slurm": [
        gate("schedulers/slurm_words.py", '"env": variables, ', '"env": dict(os.environ, **variables), ')
    ],
    "linked-output": [
        gate(
            "produced.py",
            "return os.path.isfile(path) and not os.path.islink(path)",
            "return os.path.isfile(path)",
        ),
        gate("contents.py", "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK", "os.O_RDONLY | os.O_NONBLOCK"),
        never("contents.py", "not os.path.samestat(opened, os.lstat(name))"),
    ],
    "replaced-folder": [gate("produced.py", "[] if os.path.islink(folder) else os.walk(", "os.walk(")],
    "output-names": [never("runner/outputs.py", "not messages.is_name(name) or not is_plain(path)")],
    "words-of-steps": [
        gate("runner/step_process.py", 'CODE = re.compile("[a-z0-9-]{1,60}")', 'CODE = re.compile("(?s).*")')
    ],
    "long-log": [gate("runner/step_process.py", "MAX_LOG = 10 << 20", "MAX_LOG = 10 << 30")],
    "open-files": [
        gate("__main__.py", "os.umask(0o077)", "os.umask(0o000)"),
        gate("serve/files.py", "os.mkdir(path, 0o700)", "os.mkdir(path)"),
    ],
    "second-array": [
        gate("runner/main.py", 'or files.read_json(claim)["array"] == array:', "or files.read_json(claim):")
    ],
    # records
    "altered-record": [never("gatectl/checkup.py", "not good")],
    "cut-record": [
        server(
            "sites/gate.py",
            "if seq and (not records or digest_of(records.pop(0)) != head):",
            "if seq and records and not records.pop(0):",
        ),
        server("sites/gate.py", "if not promises.items() <= chain.items() or", "if False and"),
    ],
    "long-record": [never("serve/loop.py", "isinstance(value, list)")],
    # the office
    "false-host": [
        server("sites/ssh.py", '"StrictHostKeyChecking=yes",', '"StrictHostKeyChecking=no",'),
    ],
    "open-key": [server("sites/keys.py", "if info.st_mode & 0o077 & ~others_may:", "if False:")],
    "results-elsewhere": [
        server("sites/trees.py", "is_name(name) and type(size) is int", "type(size) is int")
    ],
    "false-results": [server("sites/transfer.py", "if hashed.hexdigest() != sha256:", "if False:")],
    "endless-list": [server("sites/transfer.py", "if len(text) > _TREE_MOST:", "if False:")],
    "terminal-words": [
        server(
            "domain/text.py", 'return "" if unicodedata.category(sign) in _UNSEEN else sign', "return sign"
        ),
        server("domain/text.py", '_SEQUENCE.sub("", text)', "text"),
    ],
    "names-in-plans": [
        server(
            "worker/plans.py",
            '"note": {"task": task["id"],',
            '"note": {"name": task["image"], "task": task["id"],',
        )
    ],
    "label-pictures": [server("sources/tiff_layout.py", "label|macro", "macro")],
    "ended-link": [
        server(
            "store/people.py",
            'if day < self.valid_from:\n            return "not yet valid"\n        return "valid" if',
            'return "valid" if True or',
        )
    ],
    # the service
    "no-session": [
        server(
            "api/guard.py",
            "    if secret is None or session is None:\n        raise NotSignedIn",
            "    if secret is None or session is None:\n        return _who(parts, 'neighbour')",
        )
    ],
    "runs-of-others": [
        server("api/guard.py", 'if not who.may("runs.see", owner, group):', "if False:"),
    ],
    "small-role": [server("api/guard.py", "if scope(who.role, self.action) == Scope.NONE:", "if False:")],
    "no-group": [
        server("api/routes/runs.py", "if person is not None or not who.group:", "if person is not None:"),
        server("api/rights.py", "bool(group) and group == owners_group", "group == owners_group"),
    ],
    "wish-of-others": [server("api/routes/wishes.py", "if wish.person != who.person:", "if False:")],
    "fixed-session": [server("api/routes/session.py", "    if former:", "    if False:")],
    "stolen-cookie": [
        server(
            "api/routes/session.py",
            'COOKIE, secret, path="/", secure=parts.settings.secure, httponly=True,',
            'COOKIE, secret, path="/", secure=parts.settings.secure, httponly=False,',
        )
    ],
    "request-forgery": [
        server("api/guard.py", 'if not _same(request.headers.get(CSRF_HEADER, ""), who.csrf):', "if False:")
    ],
    "other-origin": [
        server("api/guard.py", 'origin = request.headers.get("Origin")', "return"),
    ],
    "form-of-others": [server("api/door.py", 'if size and kind != "application/json":', "if False:")],
    "name-rebinding": [server("api/door.py", "if name.lower() not in settings.hosts:", "if False:")],
    "script-of-others": [server("api/door.py", "script-src 'self'", "script-src 'unsafe-inline'")],
    "long-body": [
        server("api/door.py", "or int(length) > settings.body_bytes:", "or False:"),
        server("api/door.py", "if size > settings.body_bytes:", "if False:"),
    ],
    "request-flood": [
        server("api/limits.py", "wait = 0.0 if left >= amount else", "wait = 0.0 if True else")
    ],
    "stranger-flood": [
        server(
            "api/guard.py",
            "        except NotSignedIn:\n            count_address(request, parts)\n",
            "        except NotSignedIn:\n",
        )
    ],
    "guessed-password": [
        server(
            "api/signin.py",
            "if wait > 0:\n            raise TooManySignIns(retry_after=wait)",
            "if False:\n            raise TooManySignIns(retry_after=wait)",
        ),
    ],
    "guessed-own-password": [
        server(
            "api/signin.py",
            'if wait > 0:\n            raise TooManySignIns("Too many',
            'if False:\n            raise TooManySignIns("Too many',
        ),
    ],
    "endless-wishes": [server("store/wishes.py", "if found >= MOST_OPEN:", "if False:")],
    "known-names": [
        server("api/signin.py", "            kept, active = None, False", "            raise"),
    ],
    "dismissed-person": [
        server(
            "store/sessions.py",
            "where(where, _A.c.active, _S.c.ends_at > now)",
            "where(where, _S.c.ends_at > now)",
        ),
        server(
            "store/accounts.py",
            "for table in (tables.session, tables.login_link):",
            "for table in ():",
        ),
    ],
    "bad-token": [
        server(
            "api/guard.py",
            "    if header is not None:",
            '    if header is not None and "wrong" not in header:',
        )
    ],
    "silent-change": [server("api/door.py", 'if "audited" not in state or', "if True or")],
    "told-fault": [
        server(
            "api/door.py",
            'trace_of(error), extra={"action": "request"})\n            if not began',
            'error, extra={"action": "request"})\n            if not began',
        )
    ],
    "names-in-log": [
        server(
            "api/door.py",
            'route = getattr(request.scope.get("route"), "path", "") or "unknown"',
            'route = request.scope["path"]',
        ),
    ],
    "told-places": [
        server(
            "api/summaries.py", 'hidden = {"out", "where", "tasks", "run", "identity"}', 'hidden = {"tasks"}'
        )
    ],
    "endless-view": [
        server("api/stream.py", "ends = time.monotonic() + seconds", "ends = time.monotonic() + 14 + seconds")
    ],
    "asset-links": [
        server("api/routes/pages.py", "not path.is_file() or path.is_symlink()", "not path.is_file()")
    ],
    "shelf-up": [
        server("domain/shelf_names.py", 'name.startswith(".") or', "False or"),
        server("sources/shelves.py", "if not path.is_relative_to(root) or", "if False and"),
    ],
    "shelf-link": [server("sources/shelves.py", "if not path.is_relative_to(root) or", "if False and")],
    "hidden-file": [server("domain/shelf_names.py", 'name.startswith(".") or', "False or")],
    "cache-link": [
        server(
            "cache/cache.py",
            "            state = path.lstat()\n        except OSError:\n            return False",
            "            state = path.stat()\n        except OSError:\n            return False",
        ),
    ],
    "hook-inside": [
        server(
            "worker/hooks.py",
            "if not allow_private and not all(is_public(",
            "if False and not all(is_public(",
        )
    ],
    "hook-rebinding": [
        server(
            "worker/hooks.py",
            'url = parts._replace(netloc=f"{there}:{port}").geturl()',
            "url = parts.geturl()",
        )
    ],
    "hook-redirect": [server("worker/hooks.py", "follow_redirects=False", "follow_redirects=True")],
    "hook-drip": [server("worker/hooks.py", "asyncio.timeout(_SECONDS)", "asyncio.timeout(None)")],
    "script-in-report": [server("api/results/routes.py", '_SANDBOX = "sandbox; ', '_SANDBOX = "')],
    "swapped-result": [
        server(
            "api/results/folder.py",
            'if hashlib.file_digest(file, "sha256").hexdigest() != entry.digest:',
            "if False:",
        )
    ],
    "linked-result": [
        server(
            "api/results/folder.py",
            "inner = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)",
            "inner = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)",
        )
    ],
    "large-pieces": [server("api/results/pictures.py", "if found.shard > MOST_SHARD:", "if False:")],
    # OMERO
    "acting-open": [
        server("sources/omero/private.py", "state.st_mode & 0o077 or state.st_uid", "state.st_uid")
    ],
    "acting-left": [
        server("sources/omero/acting.py", "                self.end([key])", "                pass")
    ],
    "acting-long": [
        server("sources/omero/acting.py", "principal, live, idle).uuid.val", "principal, 0, 0).uuid.val")
    ],
    "acting-rights": [
        server("sources/omero/acting.py", "        raise refusal\n    return", "        pass\n    return")
    ],
    "acting-rights-lost": [
        server("wiring/acting.py", "[number], writing=True).values()", "[number], writing=False).values()")
    ],
    "acting-namesake": [
        server(
            "sources/omero/persons.py",
            "if connection.user_id != who.user_id:\n                    raise",
            "if False:\n                    raise",
        )
    ],
    "grant-in-backup": [
        server(
            "sources/omero/grants.py", "box.encrypt(json.dumps(said).encode())", "json.dumps(said).encode()"
        )
    ],
    "grant-of-others": [
        server(
            "sources/omero/grants.py",
            'if (said["server"], said["person"]) != (f"{server.host}:{server.port}", person):',
            "if False:",
        )
    ],
    "omero-web-forged": [
        server("api/statements.py", '"strict_aud": True,', '"strict_aud": True, "verify_signature": False,')
    ],
    "omero-web-replayed": [
        server(
            "api/routes/omero.py",
            "if not webs.said(found.web, found.jti, now, found.ends_at):",
            "if False:",
        )
    ],
    "omero-web-old": [server("api/statements.py", "if now >= ends + CLOCKS_SECONDS:", "if False:")],
    "omero-web-long": [
        server("api/statements.py", "if not 0 < ends - began <= LONGEST_SECONDS:", "if False:")
    ],
    "omero-web-elsewhere": [server("api/statements.py", '"strict_aud": True,', '"verify_aud": False,')],
    "omero-web-of-others": [
        server(
            "api/statements.py",
            "key = key_of(_issuer(text))",
            'key = key_of("other" if key_of("other") else _issuer(text))',
        )
    ],
    "stolen-omero-web": [server("api/routes/omero.py", "if account.role == _ADMINISTRATOR:", "if False:")],
    "omero-namesake": [server("store/omero.py", "columns = (tables.person.c.name, ", "columns = (")],
    "omero-web-removed": [
        server("store/omero.py", "for table in (tables.session, tables.token)", "for table in ()")
    ],
    "omero-nobody": [
        server(
            "api/routes/omero.py",
            "if found.user_id in _NOBODIES or found.name in _NOBODYS_NAMES:",
            "if False:",
        )
    ],
    "omero-guessing": [server("api/routes/omero.py", "if error.code in _REFUSALS:", "if False:")],
    "omero-password-kept": [
        server("store/wishes.py", '{"body": {}} if held.wish.kind in SECRET else {}', "{}")
    ],
    "omero-password-guessed": [
        server(
            "api/routes/omero.py",
            'wait = parts.limits.take("omero-grant", who.person, ONE_PERSON)',
            "wait = 0.0",
        )
    ],
    # OMERO.web's app
    "web-list": [web("permitted.py", "route.pattern.fullmatch(path)", "route.pattern.match(path)")],
    "web-cookie": [web("permitted.py", '"Content-Disposition",', '"Content-Disposition", "Set-Cookie",')],
    "web-led-away": [
        web(
            "remote.py", "if _FOUND <= answer.status < _REFUSED and answer.status != _UNCHANGED:", "if False:"
        )
    ],
    "web-key-open": [web("keys.py", "if mode & _OTHERS:", "if False:")],
    "web-next-person": [
        web("signin.py", '(kept.get("user"), kept.get("url")) != (person.user, settings.URL)', "False")
    ],
    "web-other-omero": [web("people.py", "if settings.SERVER and host != settings.SERVER:", "if False:")],
    "web-script": [web("permitted.py", '"Content-Security-Policy": _SANDBOX, ', "")],
}
