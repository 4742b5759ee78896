"""Personal data in text: mail addresses, phone numbers, bank accounts, card numbers, public IP addresses. Pure.

Found by form and check digits, not by names: there is no language model here. Whether it is taken out is a policy; code is full
of addresses that a model needs in order to help, so it is off unless asked for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

_MAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9][\w.+%-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}[A-Za-z]{2,24}(?![\w-])"
)
_PHONE = re.compile(
    r"(?<![\w+./-])(?:\+|00)[1-9]\d{0,2}[ ./-]?(?:\(\d{1,4}\)[ ./-]?)?\d{1,5}(?:[ ./-]?\d{2,5}){1,4}(?![\w-]|\.\d)"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-]|\.\d)")
_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:{1,2}){2,7}[0-9A-Fa-f]{1,4}(?![\w:])")
_NO_MAIL = re.compile(
    r"(?:^(?:git|noreply|no-reply|.*\[bot\])@|@(?:.*\.)?(?:example\.(?:com|org|net)|example|test|invalid|localhost|users\.noreply\.github\.com)$"
    r"|\.(?:png|jpe?g|gif|svg|py|js|ts|css|html|so|service|local)$)",
    re.IGNORECASE,
)
"""Addresses of nobody: reserved by RFC 2606, of machines, and names of files with an `@`."""
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28,
    "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18,
    "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25,
    "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""Characters of an account number by country (SWIFT's IBAN registry)."""
_IIN = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d+|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11,16}"
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12,15}|35(?:2[89]|[3-8]\d)\d{12,15}|62\d{14,17}"
)
"""Issuers: Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay (ISO/IEC 7812)."""


def luhn(digits: str) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def iban(text: str) -> bool:
    """The check digits (ISO 7064, mod 97-10) and the country's length."""
    text = text.replace(" ", "")
    if _IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def _card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    if (
        len(set(digits)) < 2
        or not _IIN.fullmatch(digits)
        or (len(digits) != 16 and digits[0] in "25" and not digits.startswith("62"))
    ):
        return False
    grouped = re.fullmatch(r"\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}", text)
    return bool(grouped) and luhn(digits)


def _phone(text: str) -> bool:
    return 8 <= len(re.sub(r"\D", "", text.removeprefix("00"))) <= 15


def _public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # the first byte of most four-part versions is small, and 1.2.3.4 is everybody's example
    return address.is_global and not (address.version == 4 and all(int(part) < 32 for part in text.split(".")))


_FORMS: tuple[tuple[str, str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("email", "@", _MAIL, lambda text: not _NO_MAIL.search(text)),
    ("iban", "", _IBAN, iban),
    ("card", "", _CARD, _card),
    ("phone", "", _PHONE, _phone),
    ("ip", ".", _IPV4, _public),
    ("ip", ":", _IPV6, _public),
)
"""Kind, a sign that must be in the text, the form, and the check. Add here."""
PERSONAL = frozenset(kind for kind, *_ in _FORMS)
"""The kinds of personal data."""


def personal_data(text: str) -> Iterator[tuple[str, int, int]]:
    """All personal data in a text: kind, start, end."""
    for kind, sign, form, believe in _FORMS:
        if sign in text:
            for match in form.finditer(text):
                if believe(match[0]):
                    yield kind, match.start(), match.end()
