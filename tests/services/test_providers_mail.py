from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from providers import smtp
from tests.services.live_providers import Providers, live_providers, providers_process


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Providers]:
    async with live_providers(tmp_path) as running:
        yield running


def message(number: int = 1, subject: str = "Hello", to: str = "ada@guests.example") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "us@booking.example", to, subject
    mail["Message-ID"] = f"<{number}@test>"
    mail.set_content("Grüße\nfrom us\n")
    return mail


async def send(providers: Providers, *mails: EmailMessage | bytes, to: list[str] | None = None) -> None:
    def blocking() -> None:
        with smtplib.SMTP("127.0.0.1", providers.smtp_port, timeout=10) as client:
            for mail in mails:
                raw = mail if isinstance(mail, bytes) else mail.as_bytes()
                given = [str(mail["To"])] if isinstance(mail, EmailMessage) else ["x@y.example"]
                client.sendmail("us@booking.example", to or given, raw)

    await asyncio.to_thread(blocking)


async def test_mails_are_folded_by_message_id(providers: Providers) -> None:
    await send(providers, message(1), message(2), message(1), message(1))
    mails = (await providers.get("/mails"))["items"]
    assert [(mail["messageId"], mail["deliveries"]) for mail in mails] == [("<2@test>", 1), ("<1@test>", 3)]
    stats = await providers.get("/stats")
    assert (stats["mails"], stats["rawMails"]) == (2, 4)


async def test_a_mail_is_read_back(providers: Providers) -> None:
    mail = message(subject="Grüße ✓")
    mail.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="confirmation.pdf")
    await send(providers, mail)
    (listed,) = (await providers.get("/mails"))["items"]
    assert listed["from"] == "us@booking.example" and listed["to"] == ["ada@guests.example"]
    shown = await providers.get(f"/mails/{listed['id']}")
    assert shown["text"] == "Grüße\nfrom us\n"
    assert {"name": "Subject", "value": "Grüße ✓"} in shown["headers"]
    assert shown["attachments"] == [{"filename": "confirmation.pdf", "contentType": "application/pdf", "size": 5}]
    raw = await providers.http.get(f"/mails/{listed['id']}/raw")
    assert raw.headers["content-type"] == "message/rfc822" and raw.headers["x-content-type-options"] == "nosniff"
    assert raw.content.replace(b"\r\n", b"\n").rstrip() == mail.as_bytes().rstrip()


async def test_mails_are_found(providers: Providers) -> None:
    await send(providers, message(1, "Confirmed: CONF-1"), message(2, "Other", to="Bob@Guests.example"))

    async def found(query: str) -> list[str]:
        return [mail["messageId"] for mail in (await providers.get(f"/mails?{query}"))["items"]]

    assert await found("messageId=%3C1@test%3E") == ["<1@test>"]
    assert await found("to=bob@guests.example") == ["<2@test>"]
    assert await found("to=guests.example") == []
    assert await found("q=conf-1") == ["<1@test>"]
    assert await found("q=BOB") == ["<2@test>"]
    assert await found("q=%25") == []
    assert await found("limit=1") == ["<2@test>"]
    for path in ("/mails/999", "/mails/999/raw"):
        assert (await providers.http.get(path)).status_code == 404
    for path in ("/mails/x", "/mails/0", f"/mails/{2**63}", "/mails?limit=0", "/mails?x=1", "/mails?q=" + "x" * 201):
        assert (await providers.http.get(path)).status_code == 400, path


async def test_the_inbox_is_emptied_and_the_log_is_not(providers: Providers) -> None:
    await send(providers, message(1), message(2))
    assert (await providers.http.delete("/mails")).json() == {"deleted": 2}
    assert (await providers.get("/mails"))["items"] == []
    assert len((await providers.get("/calls?kind=mail"))["items"]) == 2


async def test_faults_refuse_delay_and_lose(providers: Providers) -> None:
    await providers.faults(mail={"failNext": 1, "delayMs": 100})
    started = asyncio.get_running_loop().time()
    with pytest.raises(smtplib.SMTPDataError) as refused:
        await send(providers, message())
    assert refused.value.smtp_code == 451 and asyncio.get_running_loop().time() - started >= 0.1
    assert (await providers.get("/mails"))["items"] == []
    await providers.faults(mail={"loseNext": 1})
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await send(providers, message())
    await send(providers, message())
    assert [mail["deliveries"] for mail in (await providers.get("/mails"))["items"]] == [2]
    outcomes = [(call["outcome"], call["lost"]) for call in (await providers.get("/calls"))["items"]]
    assert outcomes == [("delivered", False), ("delivered", True), ("failed", False)]


async def test_answers_are_lost_on_the_loop_that_users_run_too(tmp_path: Path) -> None:
    async with providers_process(tmp_path) as (_, providers):
        await providers.faults(mail={"loseNext": 1}, payment={"loseNext": 1})
        with pytest.raises(smtplib.SMTPServerDisconnected):
            await send(providers, message())
        with pytest.raises(httpx.RemoteProtocolError):
            await providers.http.post("/payments", json={"key": "k", "amount": 1, "currency": "EUR"})
        stats = await providers.get("/stats")
        assert (stats["mails"], stats["charges"]) == (1, 1)


async def test_size_recipients_and_connections_are_limited(
    providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        await send(providers, b"Subject: x\r\n\r\n" + b"y" * 70 * 20_000)
    assert refused.value.smtp_code == 552
    people = [f"p{number}@guests.example" for number in range(smtp.MAX_RECIPIENTS + 5)]
    await send(providers, message(), to=people)
    assert len((await providers.get("/mails"))["items"][0]["to"]) == smtp.MAX_RECIPIENTS
    monkeypatch.setattr(smtp, "MAX_CONNECTIONS", 1)
    first = await asyncio.to_thread(smtplib.SMTP, "127.0.0.1", providers.smtp_port, timeout=10)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        await send(providers, message())
    await asyncio.to_thread(first.quit)
    await asyncio.sleep(0.1)
    await send(providers, message())


async def test_hostile_mails_are_kept_and_read(providers: Providers) -> None:
    hostile = [
        b"no headers at all",
        b"",
        b"Message-ID: \r\nSubject: =?utf-8?q?=ff=fe?=\r\n\r\nx",
        b"Message-ID: <\xff\x00@x>\r\nTo: \xff\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n",
        b"Content-Disposition: attachment; filename*=utf-8''..%2f..%2fetc\r\nFrom: @@@,,,<<>>\r\n\r\nx",
        b"Message-ID: <[x\r\nDate: nonsense\r\nSender: =?a?b?c?=\r\n\r\n",
        b"Subject: " + b"s" * 900 + b"\r\n\r\n",
    ]
    await send(providers, *hostile)
    mails = (await providers.get("/mails"))["items"]
    assert len(mails) == len(hostile)
    for mail in mails:
        assert (await providers.http.get(f"/mails/{mail['id']}")).status_code == 200
        assert (await providers.http.get(f"/mails/{mail['id']}/raw")).status_code == 200


async def test_garbage_on_the_smtp_port_disturbs_nobody(providers: Providers) -> None:
    for garbage in (b"\x00" * 5000 + b"\r\n", b"MAIL FROM:<\xff>\r\n", b"DATA\r\nBDAT\r\n" * 100, b"x" * 100_000):
        _, writer = await asyncio.open_connection("127.0.0.1", providers.smtp_port)
        writer.write(garbage)
        await writer.drain()
        writer.close()
    await send(providers, message())
    assert (await providers.http.get("/health")).json()["status"] == "ok"
