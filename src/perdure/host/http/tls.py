"""The certificate for --useHttps: the given one, or a self-signed one for localhost."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from perdure.host.errors import StartError, UsageError
from perdure.host.settings.config import HostConfig
from perdure.portable import private_file

_DAYS = 365
_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"


def tls_options(config: HostConfig) -> dict[str, Any] | None:
    """What the server needs to serve https, None for http. Raises `StartError`."""
    flags = config.flags
    if not flags.use_https:
        if flags.cert:
            raise UsageError("--cert has no effect without --useHttps. Give both, or none.")
        return None
    folder = Path(config.script_root) / ".perdure"
    if flags.cert is None:
        file = _self_signed(folder / "localhost.pem")
    else:
        file = Path(flags.cert).resolve()
        if not file.is_file():
            raise UsageError(f"--cert: there is no file {file}.")
        if file.suffix.lower() in (".pfx", ".p12"):
            return {"ssl_certfile": str(_from_pkcs12(file, flags.password or "", folder / "certificate.pem"))}
    options: dict[str, Any] = {"ssl_certfile": str(file)}
    if flags.password is not None:
        options["ssl_keyfile_password"] = flags.password
    return options


def _openssl() -> str:
    found = shutil.which("openssl")
    if found is None:
        raise StartError(
            "--useHttps without a PEM certificate needs the program openssl, which is not installed. Install it, or "
            "give a PEM file with certificate and private key: --cert FILE."
        )
    return found


def _self_signed(target: Path) -> Path:
    if target.is_file():
        return target
    command = [_openssl(), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(_DAYS), "-subj"]
    command += ["/CN=localhost", "-addext", _NAMES, "-keyout", "-", "-out", "-"]
    return _store(_output(command, {}, "A certificate for localhost could not be made"), target)


def _from_pkcs12(file: Path, password: str, target: Path) -> Path:
    command = [_openssl(), "pkcs12", "-in", str(file), "-nodes", "-passin", "env:PERDURE_CERT_PASSWORD"]
    return _store(_output(command, {"PERDURE_CERT_PASSWORD": password}, f"--cert: {file} cannot be read"), target)


def _output(command: list[str], environment: dict[str, str], failed: str) -> bytes:
    done = subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["openssl failed"]
        raise StartError(f"{failed}: {said[-1]}. Is the password (--password) right?" if environment else said[-1])
    return done.stdout


def _store(content: bytes, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()
    private_file(str(target))
    target.write_bytes(content)
    return target
