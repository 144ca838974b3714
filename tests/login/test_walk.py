"""A person's day without a browser's help: in, see what waits, approve, out."""

from support.browsers import Browser
from support.gates import GateUnderTest


def test_in_and_out(gate: GateUnderTest, browser: Browser) -> None:
    """Log in; the page lists what waits; approve it with the session; log out; the session is dead."""
    answer = gate.request("rita")
    welcome = browser.log_in()
    assert welcome.status_code == 200, welcome.text
    assert "As <strong>ann@example.org</strong>" in welcome.text

    home = browser.open("/")
    assert home.status_code == 200, home.text
    assert f"lockgate approve {answer['promotion']['id']} --role ml-lead" in home.text

    path = f"/v1/promotions/{answer['promotion']['id']}/approvals"
    approved = browser.open(path, "POST", json=gate.approval_document(answer, "ml-lead"))
    assert approved.status_code == 201, approved.text
    assert approved.json["approval"]["approver"] == "ann@example.org"
    assert "lockgate approve" not in browser.open("/").text.partition("<h2>")[0]

    session = dict(browser.cookies)
    out = browser.open("/logout", "POST")
    assert (out.status_code, out.headers["Location"]) == (303, "/")
    assert browser.cookies == {}
    browser.cookies = session
    assert browser.open("/").status_code == 401
    assert browser.open("/v1/me").json["code"] == "identity.unauthenticated"
