"""What makes the program itself stop. Each class's docstring is the message and names the remedy."""


class LockkeepError(Exception):
    """Lockkeep could not go on."""

    detail_says_it = (
        False  # the detail is a whole sentence for people; the docstring serves only where there is none
    )

    def __str__(self) -> str:
        detail = super().__str__()
        sentence = type(self).__doc__ or ""
        if not detail or not self.detail_says_it:
            return f"{sentence} ({detail})" if detail else sentence
        return detail


class StoreUnavailable(LockkeepError):
    """The store did not answer. Check the data folder and the free space behind it."""


class StoreBusy(LockkeepError):
    """Another process holds the store. Try again in a moment."""


class StoreDoesNotFit(LockkeepError):
    """The store was written by another release or was changed by hand. Nothing was touched; use the release that wrote it, or restore a backup."""


class AlreadyServing(LockkeepError):
    """Another gateway serves this data folder. Stop it first, or give this one its own LOCKKEEP_DATA."""


class RestoreUnfinished(LockkeepError):
    """A restore was cut off half-way. Run `lockkeep restore` again with the same backup."""


class BadBackup(LockkeepError):
    """The backup cannot be used."""

    detail_says_it = True


class BadPolicySet(LockkeepError):
    """The policy files do not load. Run `lockkeep policy check`; the last good set stays."""

    detail_says_it = True


class BadCredential(LockkeepError):
    """A credential reference cannot be read. Use env:NAME or file:PATH, and make the file readable by its owner only."""


class IntegrationDown(LockkeepError):
    """The integration does not answer. It is tried again by itself; `lockkeep status` shows since when."""

    detail_says_it = True


class UnknownServer(LockkeepError):
    """No installed tool server has that name."""


class BadSetting(LockkeepError):
    """A setting cannot be used."""

    detail_says_it = True


class Unreadable(LockkeepError):
    """A file cannot be read as what it should be."""

    detail_says_it = True


class NotFound(LockkeepError, LookupError):
    """There is nothing with that id. `lockkeep calls list` and `lockkeep approvals list` show what there is."""

    detail_says_it = True


class NotAllowed(LockkeepError):
    """You may not do that."""

    detail_says_it = True


class Conflict(LockkeepError):
    """It changed meanwhile. Look at it again before you decide."""

    detail_says_it = True
