"""Everything the gateway refuses or fails at, as one tree.

GatewayError
├── InvalidInput 400 invalid            what was sent cannot be used
│   ├── Unparsable 400 structure        not JSON, not XML, a DOCTYPE, wrong charset, empty
│   ├── UnknownFormat 415 not-supported media type we do not read
│   ├── NotAcceptable 406 not-supported media type we do not write
│   ├── TooLarge 413 too-long           over a byte, depth or entry limit
│   ├── TooCostly 422 too-costly        took longer than one piece of work gets
│   └── NotConformant 422 invariant     well-formed, but not what the specification allows; carries issues
├── Refused 403 forbidden
│   ├── NotAuthenticated 401 login
│   ├── NotPermitted 403 forbidden
│   └── BadSignature 401 security
├── Missing 404 not-found
│   ├── Gone 410 deleted
│   └── NotAllowed 405 not-supported
├── Conflict 409 conflict               held: a person must look
│   ├── VersionConflict 412 conflict    If-Match names another version
│   └── AmbiguousMatch 412 multiple-matches
├── PartnerError 502 exception          the other side answered with an error
│   ├── PartnerUnavailable 503 transient   nothing was sent, or they asked us to wait
│   │   └── HeldBack 503 transient  we wait ourselves: their rate limit, or what has to be there first
│   ├── PartnerUnknown 504 timeout      sent, but no answer: the outcome is unknown
│   │   └── PartnerPending 504 timeout  they took it, and tell later what became of it
│   └── PartnerRejected 502 processing  4xx: a person must look
│       └── PartnerLoginExpired 502 login transient   401: our login is no longer taken, somebody must authorise again
├── StoreBusy 503 transient             nothing was written
│   └── StoreUnknown 504 timeout        the database was lost while committing
└── Overloaded 503 throttled            more is under way than we hold: nothing was done

A class fixes three facts, so that no call site decides them: the HTTP `status`, the OperationOutcome `code`
and whether trying again may help (`transient`). A message never holds payload text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from gateway.fhir.issue import Issue


class GatewayError(Exception):
    """The root: something the caller, a partner or an operator has to know about."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "exception"
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, expression: str | None = None, issues: Sequence[Issue] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.expression = expression
        self.issues = tuple(issues)


class InvalidInput(GatewayError):
    """What was sent cannot be used."""

    status, code = 400, "invalid"


class Unparsable(InvalidInput):
    """The bytes are not the format they claim to be."""

    status, code = 400, "structure"


class UnknownFormat(InvalidInput):
    """A media type that this route does not read."""

    status, code = 415, "not-supported"


class NotAcceptable(InvalidInput):
    """A media type that we do not write."""

    status, code = 406, "not-supported"


class TooLarge(InvalidInput):
    """Over a byte, depth or entry limit."""

    status, code = 413, "too-long"


class TooCostly(InvalidInput):
    """It took longer than one piece of work gets, and was ended."""

    status, code = 422, "too-costly"


class NotConformant(InvalidInput):
    """Well-formed, but not what the specification allows."""

    status, code = 422, "invariant"


class Refused(GatewayError):
    """The caller may not do this."""

    status, code = 403, "forbidden"


class NotAuthenticated(Refused):
    """No key, or none that we know."""

    status, code = 401, "login"


class NotPermitted(Refused):
    """A known caller without the scope."""

    status, code = 403, "forbidden"


class BadSignature(Refused):
    """A webhook that its sender did not sign, or not now."""

    status, code = 401, "security"


class Missing(GatewayError):
    """Nothing under that name."""

    status, code = 404, "not-found"


class Gone(Missing):
    """It was there, and was deleted."""

    status, code = 410, "deleted"


class NotAllowed(Missing):
    """That interaction does not exist here."""

    status, code = 405, "not-supported"


class Conflict(GatewayError):
    """Held: what was sent contradicts what is known, and a person must look."""

    status, code = 409, "conflict"


class VersionConflict(Conflict):
    """If-Match names another version than the current one."""

    status, code = 412, "conflict"


class AmbiguousMatch(Conflict):
    """Several different resources fit."""

    status, code = 412, "multiple-matches"


class PartnerError(GatewayError):
    """The other side failed."""

    status, code = 502, "exception"


class PartnerUnavailable(PartnerError):
    """Nothing was done there, or they asked us to wait; `retry_after` in seconds when they said so. `reached`: whether
    there was a connection at all."""

    status, code, transient = 503, "transient", True

    def __init__(self, message: str, *, retry_after: float | None = None, reached: bool = True) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.reached = reached


class HeldBack(PartnerUnavailable):
    """We wait ourselves, for their rate limit or for what has to be there first: no attempt is used up."""

    status, code, transient = 503, "transient", True


class PartnerUnknown(PartnerError):
    """Sent, but no answer came: it may or may not have taken effect."""

    status, code, transient = 504, "timeout", True


class PartnerPending(PartnerUnknown):
    """They took it and carry it out later: until it shows up on their side it is neither done nor sent again.

    `sent` False: it was sent before, and is waited for.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class PartnerRejected(PartnerError):
    """They refused it (4xx): sending the same again will not help."""

    status, code = 502, "processing"


class PartnerLoginExpired(PartnerRejected):
    """They no longer take our login: it has to be authorised again, and everything waits until it is."""

    status, code, transient = 502, "login", True


class StoreBusy(GatewayError):
    """The database could not take the write in time, or a worker process died: nothing was written."""

    status, code, transient = 503, "transient", True


class StoreUnknown(StoreBusy):
    """The database was lost while committing: whether it was written is unknown. Everything may be said twice."""

    status, code, transient = 504, "timeout", True


class Overloaded(GatewayError):
    """More is under way than we hold: nothing was done."""

    status, code, transient = 503, "throttled", True
