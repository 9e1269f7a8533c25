"""The guidelines on a page of their own. Who may open it: tests/annotate/test_judge_page.py."""


def test_it_works(client, bob, project):
    client.force_login(bob)
    html = client.get("/p/plain/guidelines/").content.decode()
    assert "you would <strong>rather</strong> have been given." in html
    assert "Version 1," in html


def test_the_newest_version_counts_and_is_as_safe_as_what_models_say(client, bob, project):
    client.force_login(bob)
    project.guideline_versions.create(version=2, text="<b>New</b> ones")
    html = client.get("/p/plain/guidelines/").content.decode()
    assert "&lt;b&gt;New&lt;/b&gt; ones" in html
    assert "rather" not in html


def test_there_may_be_none(client, bob, project):
    client.force_login(bob)
    project.guideline_versions.all().delete()
    assert "This project has no guidelines yet." in client.get("/p/plain/guidelines/").content.decode()
