"""``casekeeper keys certificate``: fetch a certificate of erasure from the log, and check one with a key alone."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import click

from application import signed_documents
from application.certificate_checks import Document, check, check_against_log, left_out, lines_of
from application.settings import Settings
from application.signing_keys import CERTIFICATES, public_keys
from application.wiring import now, open_vault
from domain.errors import DocumentInvalid, NotFound
from domain.record import Record
from store.log import EventLog

_File = click.Path(exists=True, dir_okay=False, path_type=Path)
_Out = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command("certificate")
@click.argument("identifier", metavar="[REQUEST_OR_CERTIFICATE_ID]", type=click.UUID, required=False)
@click.option("--out", type=_Out, help="Write to this file instead of standard output.")
@click.option("--verify", "file", type=_File, help="Check this file of signed documents.")
@click.option("--key", "key_file", type=_File, help="The public key, or set of keys, to check with (JWK or JWK set).")
@click.option("--log", "with_log", is_flag=True, help="Check against the event store, too; only PostgreSQL is needed.")
@click.option("--public-key", "publish", is_flag=True, help="Write the public keys of this installation (JWK set).")
def command(
    identifier: UUID | None, out: Path | None, file: Path | None, key_file: Path | None, with_log: bool, publish: bool
) -> None:
    """Fetch a certificate with its supplements from the log, or check one.

    An erasure that was held up in part and went on later has several certificates. By the id of the request you get
    the latest one, and standard error names the others.

    A file holds one compact JWS a line, the certificate first. Checking takes the file and a key, nothing else: no
    service, no database, no network. The exit status is 0 only if everything holds; each failure is one line on
    standard error.

    \b
    Example:
      casekeeper keys certificate 5c0c5d6e-0c7a-4a86-8f0e-3d2a55e34a10 --out erasure.jws
      casekeeper keys certificate --public-key --out keys.json
      casekeeper keys certificate --verify erasure.jws --key keys.json
      casekeeper keys certificate --verify erasure.jws --key keys.json --log
    """
    if sum((identifier is not None, file is not None, publish)) != 1:
        raise click.UsageError("name a request or certificate, or say --verify FILE, or --public-key")
    if (file is None) != (key_file is None):
        raise click.UsageError("--verify FILE and --key FILE belong together")
    if with_log and file is None:
        raise click.UsageError("--log is for --verify")
    if file is not None and key_file is not None:
        _verify(file, key_file, with_log)
    elif identifier is not None:
        _write("".join(f"{document}\n" for document in _fetch(identifier)), out)
    else:
        _write(json.dumps({"keys": _published()}, indent=2) + "\n", out)


def _verify(file: Path, key_file: Path, with_log: bool) -> None:
    lines = lines_of(_text(file))
    try:
        keys = signed_documents.keys_of(_text(key_file))
    except DocumentInvalid as problem:
        _fail([str(problem)])
    said, failures = check(lines, keys)
    if failures:
        _fail(failures)
    missing = 0
    if with_log:
        missing, failures = _compare(lines, said)
        if failures:
            _fail(failures)
    _report(said, with_log, missing)


def _compare(lines: list[str], said: list[Document]) -> tuple[int, list[str]]:
    """Return how many supplements the file lacks, and one line for each thing that the log does not bear out."""
    certificate = said[0]
    subject_id = UUID(certificate["subject_id"])
    with EventLog(Settings.load().events_dsn) as log:
        stored = log.read_stream(subject_id)
        fenced = log.fenced([subject_id, *(UUID(scope["scope_id"]) for scope in certificate["scopes"])])
    records = [Record.parse(one.position, one.record) for one in stored]
    return left_out(said, records), check_against_log(lines, said, records, fenced)


def _report(said: list[Document], with_log: bool, missing: int) -> None:
    certificate = said[0]
    click.echo(f"certificate {certificate['certificate_id']} of request {certificate['request_id']} holds")
    click.echo(f"destroyed {certificate['destroyed_at']}, unrecoverable after {certificate['unrecoverable_after']}")
    click.echo(f"{len(certificate['scopes'])} key scopes erased, {len(certificate['withheld'])} withheld")
    click.echo(f"{len(said) - 1} supplements; {_open(said)} of {len(certificate['recipients'])} recipients still open")
    if with_log:
        click.echo("the log bears it out")
    if missing:
        click.echo(f"the log has {missing} supplements more: fetch the certificate again")
    for statement in certificate["not_proven"]:
        click.echo(f"not proven: {statement}")


def _open(said: list[Document]) -> int:
    """Return how many recipients no supplement at hand reports as told."""
    told = {
        document["data"]["recipient_id"]
        for document in said[1:]
        if document["fact"] == "RecipientNotifiedOfErasure" and document["data"]["delivery"] == "delivered"
    }
    return len({recipient["recipient_id"] for recipient in said[0]["recipients"]} - told)


def _fetch(identifier: UUID) -> list[str]:
    """Return the signed documents of a certificate, in order; of a request, those of its latest certificate.

    Raises ``NotFound``, ``StoreUnavailable``.
    """
    with EventLog(Settings.load().events_dsn) as log:
        stored = log.find(("CertificateSigned",), identifier)
    records = [Record.parse(one.position, one.record) for one in stored]
    ours = [r for r in records if str(identifier) in (r.data["request_id"], r.data["certificate_id"])]
    if not ours:
        raise NotFound("signed certificate", identifier)
    *earlier, latest = [r.data["certificate_id"] for r in ours if r.data["number"] == 0]
    for certificate_id in earlier:
        click.echo(f"the request has an earlier certificate, too: {certificate_id}", err=True)
    return [record.data["document"] for record in ours if record.data["certificate_id"] == latest]


def _published() -> list[dict[str, str]]:
    with closing(open_vault(Settings.load())) as vault:
        return public_keys(vault, now(), CERTIFICATES)


def _text(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")


def _write(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text)


def _fail(failures: list[str]) -> NoReturn:
    for failure in failures:
        click.echo(failure, err=True)
    raise SystemExit(1)
