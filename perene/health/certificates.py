"""When a store's certificate ends, as the server shows it to anyone who asks for TLS."""

import socket
import ssl
import struct

from cryptography import x509

from perene.errors import PereneError
from perene.exit_codes import ExitCode

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def not_after(host: str, port: int, timeout: float = 3, *, asked: bool = True) -> float:
    """Seconds since 1970 at which the certificate ends. Looking verifies nothing and sends no secret. PereneError (exit 3) without TLS.

    asked: PostgreSQL is asked for TLS first; everything else speaks it from the first byte.
    """
    looking = ssl.create_default_context()
    looking.check_hostname, looking.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout) as plain:
            if asked:
                plain.sendall(_SSL_REQUEST)
            if asked and plain.recv(1) != b"S":
                raise PereneError("it offers no TLS", where=f"{host}:{port}", exit_code=ExitCode.CANNOT_TELL)
            with looking.wrap_socket(plain, server_hostname=host) as wrapped:
                shown = wrapped.getpeercert(binary_form=True)
    except OSError as failed:
        raise PereneError(f"no answer: {failed}", where=f"{host}:{port}", exit_code=ExitCode.CANNOT_TELL) from None
    return x509.load_der_x509_certificate(shown or b"").not_valid_after_utc.timestamp()
