"""The command line: what it takes, what it prints, how it ends (0 fine, 1 a finding, 2 usage or unreadable)."""

import argparse
import getpass
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import anyio

from lockkeep_client.bridge import Bridge
from lockkeep_client.connect import Connection, HostRefused, Wish, connection, explain, unknown_workflow
from lockkeep_client.credentials import Credentials
from lockkeep_client.doctor import Report, examine
from lockkeep_client.errors import BadRequest, ClientError, NotLoggedIn
from lockkeep_client.exchange import Exchange
from lockkeep_client.hostfile import FileKeptChanging
from lockkeep_client.hosts import HOSTS, Place
from lockkeep_client.ringlog import log_to
from lockkeep_client.settings import endpoint, gateway_url, user_folder
from lockkeep_client.stdio import Stdio
from lockkeep_client.wire import VERSION

FINE, FINDING, USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """One command was run; the number says how it ended."""
    options = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except BadRequest as error:
        return _say(error, USAGE)
    except ClientError as error:
        return _say(error, FINDING)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockkeep-client", description="Connect a host to a lockkeep gateway."
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_connect(commands.add_parser("connect", help="put the gateway into a host's settings"))
    bridge = commands.add_parser("bridge", help="serve a stdio host; hosts run this, not people")
    bridge.set_defaults(run=_bridge)
    _add_url(bridge)
    _add_token(commands.add_parser("token", help="the token this machine uses"))
    doctor = commands.add_parser("doctor", help="what is wrong, and how to mend it")
    doctor.set_defaults(run=_doctor)
    doctor.add_argument("--json", action="store_true", help="print the report as JSON")
    _add_url(doctor)
    return parser


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", help="the gateway's address (default: LOCKKEEP_URL, then http://127.0.0.1:8700)"
    )


def _add_connect(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_connect, action="print")
    parser.add_argument("host", metavar="HOST", help=f"one of: {', '.join(HOSTS)}")
    parser.add_argument(
        "--scope", choices=("project", "user"), default="project", help="whose file (default: project)"
    )
    parser.add_argument("--workflow", metavar="W", help="one workflow's tools instead of all")
    parser.add_argument(
        "--stdio", action="store_true", help="let the host start the bridge instead of using HTTP"
    )
    action = parser.add_mutually_exclusive_group()
    for name, does in (
        ("print", "show the entry (default)"),
        ("write", "write it"),
        ("remove", "take it out again"),
    ):
        action.add_argument(f"--{name}", dest="action", action="store_const", const=name, help=does)
    parser.add_argument("--force", action="store_true", help="also replace an entry that is not ours")
    parser.add_argument(
        "--insecure", action="store_true", help="allow an address where others can read the token"
    )
    _add_url(parser)


def _add_token(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_token)
    parser.add_argument(
        "what", nargs="?", choices=("set",), help="read the token from stdin and keep it in a 0600 file"
    )
    parser.add_argument("--headers", action="store_true", help="print the HTTP headers as JSON, for a host")


def _connect(options: argparse.Namespace) -> int:
    url = options.url or gateway_url(os.environ)
    wish = Wish(
        host=options.host,
        url=url,
        scope=options.scope,
        workflow=options.workflow,
        stdio=options.stdio,
        action=options.action,
        force=options.force,
        insecure=options.insecure,
    )
    place = Place(
        cwd=Path.cwd(), home=Path.home(), env=os.environ, on_path=shutil.which("lockkeep-client") is not None
    )
    wanted = connection(wish, place, shutil.which)
    if wish.workflow is not None and wish.action != "remove":
        others = anyio.run(unknown_workflow, url, wish.workflow, _token_or_none)
        if others is not None:
            known = f" It has: {', '.join(others)}." if others else ""
            raise BadRequest(f"The gateway has no workflow {wish.workflow!r}.{known}")
    try:
        return {"print": _print, "write": _write, "remove": _remove}[wish.action](wanted)
    except (FileKeptChanging, HostRefused) as error:
        return _say(error, FINDING)
    except ClientError as error:
        return _say(explain(error, wanted), USAGE)
    except OSError as error:
        return _say(f"{wanted.path} cannot be written ({type(error).__name__}).", USAGE)


def _print(wanted: Connection) -> int:
    if wanted.path is not None:
        _say(f"For {wanted.path}; `--write` writes it there:")
    print(json.dumps(wanted.fragment(), indent=2))
    return FINE


def _write(wanted: Connection) -> int:
    changed = wanted.write()
    print(f"{wanted.path}: {wanted.name} {'written' if changed else 'was there already'}")
    url = wanted.entry.get("url") or wanted.entry["env"]["LOCKKEEP_URL"]
    report = anyio.run(lambda: examine(url, _credentials(), datetime.now(UTC), short=True))
    if report.reachable:
        for finding in report.findings:
            _say(f"Warning: {finding.says} {finding.remedy}")
    return FINE


def _remove(wanted: Connection) -> int:
    changed = wanted.remove()
    print(f"{wanted.path}: {wanted.name} {'removed' if changed else 'was not there'}")
    return FINE


def _bridge(options: argparse.Namespace) -> int:
    log_to(user_folder(os.environ, Path.home()) / "bridge.log")
    url = endpoint(options.url or gateway_url(os.environ))

    async def serve() -> None:
        async with Exchange(url, _credentials().token) as exchange:
            await Bridge(exchange, Stdio(sys.stdin.buffer, sys.stdout.buffer)).run()
            # A thread may still hang on a host that neither writes nor reads, and nothing is left to save.
            os._exit(FINE)

    anyio.run(serve)
    return FINE


def _token(options: argparse.Namespace) -> int:
    if options.what == "set" and not options.headers:
        typed = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.read()
        _credentials().store(typed.strip())
        return _say(f"Kept in {_credentials().file}.", FINE)
    if options.headers and options.what is None:
        token = _credentials().token()
        if token is None:
            raise NotLoggedIn("There is no token. Run `lockkeep-client token set`, or set LOCKKEEP_TOKEN.")
        print(json.dumps({"Authorization": f"Bearer {token}"}))
        return FINE
    raise BadRequest("Either `token set` or `token --headers`.")


def _doctor(options: argparse.Namespace) -> int:
    url = endpoint(options.url or gateway_url(os.environ))
    report = anyio.run(examine, url, _credentials(), datetime.now(UTC))
    if options.json:
        findings = [asdict(finding) for finding in report.findings]
        print(
            json.dumps(
                {"url": url, "ok": not findings, "passed": report.passed, "findings": findings}, indent=2
            )
        )
    else:
        _print_report(report)
    return FINDING if report.findings else FINE


def _print_report(report: Report) -> None:
    print(report.url)
    for passed in report.passed:
        print(f"  ok    {passed}")
    for finding in report.findings:
        print(f"  wrong {finding.code}: {finding.says}\n        {finding.remedy}")


def _credentials() -> Credentials:
    return Credentials.of_user(os.environ, Path.home())


def _token_or_none() -> str | None:
    try:
        return _credentials().token()
    except NotLoggedIn:
        return None


def _say(text: object, code: int = FINE) -> int:
    print(text, file=sys.stderr)
    return code
