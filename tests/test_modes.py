"""Ten ways of being stuck: which one a question sounds like, and what each of them looks for, collects and checks."""

from __future__ import annotations

import time
from itertools import combinations
from pathlib import Path

import pytest
from conftest import git

from orchestra_mcp.context.collector import MIN_WANTED, WANTED_SHARE, collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.wanted import GATHERERS
from orchestra_mcp.context.wanted.overview import modules, parts, resolve
from orchestra_mcp.context.wanted.scene import SCORE
from orchestra_mcp.context.wanted.signs import entry
from orchestra_mcp.council.prompts import MODES, Writer, mode_spec, pick_mode
from orchestra_mcp.council.prompts.picking import weigh
from orchestra_mcp.types import Dossier, Mode, Question, Seat

# What developers write, with the mode that a person would choose. Most were written before the signs were tuned to them.
SAID: dict[Mode, tuple[str, ...]] = {
    "debug": (
        "users report that the last row of every CSV import goes missing, any idea why?",
        "TypeError: cannot unpack non-iterable NoneType object when calling load_config()",
        "why does the retry loop never exit when the queue is empty",
        'Our nightly job just hangs after "connecting to db", no output at all',
        "getting undefined instead of the user name after the login redirect",
        "test_parse_dates passes locally but fails on CI since Monday",
        "After the merge the totals on the invoice are off by one cent sometimes",
        "What's wrong with this function? It returns None for negative numbers",
        "The app crashes on startup after I installed the new version of macOS",
        "why is my cache always empty?",
        "parse() gives wrong results for dates before 1970",
        "sporadic deadlock between the two writers",
        'I get "connection reset by peer" only in production',
        "numbers in the report are doubled, no clue where that comes from",
        "the button does nothing when clicked twice",
        "I don't understand why the counter resets to zero after each request",
        "sort order is reversed on page two of the list",
        "KeyError 'id' in the webhook handler",
        "File handle leak? after two hours open() raises EMFILE",
        "the migration fails halfway and leaves the table locked",
    ),
    "architecture": (
        "Should we use Postgres or MongoDB for the event store?",
        "which should we choose, a message queue or plain cron jobs?",
        "We are thinking about splitting the monolith, is it worth it with four people?",
        "REST vs GraphQL for our internal admin tool",
        "how should we organize the modules so that the billing code can be sold separately",
        "Where do I put the caching layer, in front of the repository or behind the service? Pros and cons please",
        "Do we want one repo or many for the five services?",
        "We need multi-tenancy. Schema per tenant or a tenant_id column?",
        "is a state machine the right design for orders?",
        "what would be the best way to structure a plugin system here",
        "Should the frontend talk to the database service directly or through the gateway?",
        "sync or async workers for sending mails, what fits us better in the long term?",
        "we need to decide where tenant configuration lives",
    ),
    "performance": (
        "the /search endpoint takes 4 seconds with 10k products",
        "Memory usage of the worker grows until it gets OOM killed",
        "how can I make this pandas groupby faster",
        "page load has become really slow since we added the permissions check",
        "100% CPU when scrolling the list view",
        "Is this quadratic? parse_all on a 50 MB file needs minutes",
        "Why is the build taking 20 minutes?",
        "reduce memory footprint of the tokenizer",
        "the query does a full table scan, how to optimize",
        "startup time went from 1s to 9s",
        "why does this loop take forever with a million entries",
        "our p99 latency doubled after adding logging",
        "sorting twice in render(), can we optimise that?",
    ),
    "security": (
        "can someone inject SQL through the sort parameter?",
        "is it safe to unpickle the session cookie here",
        "Please check the password reset flow for ways to bypass the token",
        "Could an attacker read other tenants' files through download_file?",
        "we log the full Authorization header, does that leak secrets",
        "do we need CSRF protection on this form",
        "audit the file upload for path traversal",
        "are the passwords hashed correctly?",
        "someone could call this endpoint without being logged in, right?",
        "Can you check whether user input reaches subprocess.run unescaped",
        "are there vulnerabilities in how we parse XML uploads",
        "JWT secret is in settings.py, how bad is it?",
    ),
    "integration": (
        "Stripe webhooks arrive twice and we charge the customer two times. How do we integrate this properly?",
        "upgrading from pydantic v1 to v2, what breaks for us?",
        "our service gets a 429 from the GitHub API, how do I do retries with their rate limit",
        "How do I connect the app to Kafka with SASL?",
        "SAML login with Okta, which library version is compatible with Django 5?",
        "move our deployment from Heroku to Kubernetes, what has to change in the config",
        "the OAuth callback from Google returns invalid_grant",
        "gRPC client in Go cannot talk to the Python server",
        "How to hook our billing up to the PayPal SDK",
        "bumping axios to 1.x breaks the interceptors",
        "SFTP server of the bank rejects our handshake since they changed the certificate",
    ),
    "testing": (
        "What tests are missing for the refund logic?",
        "how do i mock the clock in these fixtures",
        "Write unit tests for Parser.parse_header",
        "our e2e suite is flaky, one in ten runs is red",
        "Coverage of the scheduler is 40%, where should I begin?",
        "how can I test code that calls time.sleep",
        "which of these functions has no test?",
        "property based testing for the diff algorithm?",
        "which edge cases should the tests for slugify cover?",
        "how do we test the websocket reconnect logic without a real server",
    ),
    "learning": (
        "How does the plugin loader find plugins?",
        "what is the difference between Session and Connection in this codebase",
        "I'm new to this project, walk me through a request from the router to the db",
        "explain the borrow checker trick used in arena.rs",
        "Where is the retry policy defined and who calls it?",
        "what does `yield from` do in scheduler.py?",
        "can you teach me how the event loop is wired in this app",
        "help me understand the lifetime of a Session object",
        "what are these dunder slots for?",
        "How is a message routed from the socket to the handler?",
        "why do people use a context manager here, I never saw this concept",
    ),
    "refactoring": (
        "this 600 line function is a mess, how do I split it up",
        "extract the validation out of the controllers without changing behaviour",
        "We have the same date parsing code copy-pasted in five places",
        "rename Customer to Account everywhere safely",
        "get rid of the global config object",
        "Can this class be simplified? It has 14 constructor arguments",
        "move the email code out of models.py into its own package",
        "replace the if/elif chain with a dispatch table",
        "these three classes share 80% of their code, how can I deduplicate them",
        "convert callbacks to async/await in uploader.js",
    ),
    "quality": (
        "review my diff before I merge",
        "Did I miss any edge cases in this patch?",
        "Is this idiomatic Go?",
        "please look over utils.py, any code smells?",
        "Any feedback on this pull request?",
        "how maintainable is the billing module",
        "is there anything wrong with my changes in api.py",
        "Give me a critique of the new module queue.py",
        "could you review the last commit",
    ),
    "communication": (
        "Write a commit message for what I staged",
        "summarize last week's changes for the customers",
        "help me explain to my manager why the release slipped",
        "draft the PR description",
        "release notes for 2.4, please",
        "document the public functions of client.py",
        "Write an announcement about the deprecation of v1",
        "reply to the customer who asks why his export was truncated",
        "turn these commits into a changelog entry",
        "I need a short status update on the auth rewrite for the stakeholders",
    ),
}

# ------------------------------------------------------------------------------------------------------ picking a mode


def test_most_questions_are_heard_in_the_mode_that_a_person_would_choose() -> None:
    asked = [(mode, text) for mode, texts in SAID.items() for text in texts]
    wrong = [(mode, text, pick_mode(Question(text=text))) for mode, text in asked]
    wrong = [(mode, text, picked) for mode, text, picked in wrong if picked != mode]
    assert len(asked) > 100
    assert len(wrong) <= 0.04 * len(asked), wrong


@pytest.mark.parametrize("mode", sorted(MODES))
def test_no_mode_is_lost_to_another(mode: Mode) -> None:
    heard = [pick_mode(Question(text=text)) == mode for text in SAID[mode]]
    assert sum(heard) >= 0.8 * len(heard)


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({"text": "What now?", "error": "KeyError: 'id'"}, "debug"),
        ({"text": "What now?", "error": "  \n"}, "quality"),
        ({"text": "Anything?", "diff": "--- a/x\n+++ b/x\n"}, "quality"),
        ({"text": "It crashes", "mode": "learning"}, "learning"),
        ({"text": "Is the search slow, or why does memory usage grow? It takes 40 seconds", "error": "40.1 s total"}, "performance"),
        ({"text": ""}, "quality"),
    ],
)  # fmt: skip
def test_attachments_and_a_given_mode_count_too(given: dict[str, str], mode: str) -> None:
    assert pick_mode(Question.model_validate(given)) == mode


@pytest.mark.parametrize(
    "text", ["therapist capitalize apiary", "scaled", "hangar", "authoring", "reviewer's", "terror"]
)
def test_a_sign_inside_another_word_is_none(text: str) -> None:
    assert not any(weigh(text).values())


def test_a_sign_counts_once_however_often_it_occurs() -> None:
    assert weigh("slow " * 500) == weigh("slow")


@pytest.mark.parametrize(
    "filler", ["a", "\n", "(", "how does ", "what is ", "extract the ", "replace ", "write a ", "-", "explain to "]
)
def test_a_hostile_question_takes_no_time_to_place(filler: str) -> None:
    began = time.process_time()
    pick_mode(Question(text=filler * (100_000 // len(filler))))
    assert time.process_time() - began < 3  # a pattern that backtracks takes minutes


# ------------------------------------------------------------------------------------------------- ten modes, one project

ORDERS = """import sqlite3

from shop.store import connect


def load_orders(users):
    rows = []
    for name in users.split(","):
        for row in connect().execute(f"SELECT * FROM orders WHERE name = '{name}'"):
            rows.append(row)
    return rows
"""
FILES = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = ["flask>=3.0"]\n\n[tool.pytest.ini_options]\n',
    "uv.lock": 'version = 1\n\n[[package]]\nname = "flask"\nversion = "3.1.2"\n',
    "ARCHITECTURE.md": "# The shop\n\nSells things.\n\n## Orders\n\nOrders of several users are loaded in one go, see load_orders.\n\n## Colours\n\nBlue.\n",
    "CHANGELOG.md": "# Changes\n\n## 1\n\n- The shop opens.\n",
    "config.yaml": "orders:\n  page: 50\nmail:\n  from: shop\n",
    "shop/__init__.py": "",
    "shop/store.py": 'import sqlite3\n\n\ndef connect():\n    return sqlite3.connect("shop.db")\n',
    "shop/orders.py": ORDERS.replace("users.split(\",\")", "[users]"),
    "shop/web.py": 'from flask import request\n\nfrom shop.orders import load_orders\n\n\n@app.route("/orders")\ndef show_orders():\n    return load_orders(request.args["users"])\n',
    "shop/cli.py": "from shop.web import show_orders\n\n\ndef main():\n    print(show_orders())\n",
    "tests/test_orders.py": 'from shop.orders import load_orders\n\n\ndef test_nobody_has_no_orders():\n    assert load_orders("") == []\n',
}  # fmt: skip

WANTED: dict[Mode, tuple[str, ...]] = {
    "debug": ("load_orders (shop/orders.py:6-11) was changed by:", "Load the orders of several users", "tests/test_orders.py:4 test_nobody_has_no_orders"),
    "architecture": ("shop/cli.py imports shop/web.py", "shop/orders.py imports shop/store.py", "Orders of several users are loaded in one go"),
    "performance": ("shop/orders.py:9 a loop in the loop of line 8, in load_orders", "shop/orders.py:9 query: execute() in the loop of line 9, in load_orders"),
    "quality": ("shop/web.py:8 in show_orders: return load_orders(request.args[\"users\"])",),
    "security": ("shop/web.py:8 request data: return load_orders(request.args[\"users\"])", "shop/web.py:6 route: @app.route(\"/orders\")", "shop/orders.py:9 SQL built from text: ", "flask >=3.0, resolved 3.1.2 in pyproject.toml"),
    "integration": ("flask >=3.0, resolved 3.1.2 in pyproject.toml", "config.yaml:1 orders:"),
    "testing": ("load_orders: tests/test_orders.py:4 test_nobody_has_no_orders", "Run: ", "connect: no test mentions it"),
    "learning": (" → show_orders (shop/web.py:", " → load_orders (shop/orders.py:6)", "main (shop/cli.py:4) → "),
    "refactoring": ("load_orders (shop/orders.py:6) is called at 2 places:", "shop/web.py:8 in show_orders", "tests/test_orders.py:5 in test_nobody_has_no_orders"),
    "communication": ("  modified shop/orders.py +1 -1", "- The shop opens."),
}  # fmt: skip
"""Mode → lines of its own evidence, read off the files above by hand."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8", newline="\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Open the shop")
    (root / "shop" / "orders.py").write_text(ORDERS, "utf-8", newline="\n")
    git(root, "commit", "-qam", "Load the orders of several users")
    return root


async def ask(root: Path, mode: Mode, budget: int = 12_000) -> Dossier:
    question = Question(text="What about load_orders, connect and show_orders: the orders of flask?", mode=mode)
    return await collect(question, root, ProjectEvidence(root), budget=budget, wanted=mode_spec(mode).evidence)


def own(dossier: Dossier) -> str:
    """What is in a dossier because of the mode."""
    return "\n".join(excerpt.text for excerpt in dossier.excerpts if excerpt.score == SCORE)


async def test_ten_ways_of_being_stuck_differ_on_one_project(shop: Path) -> None:
    modes = sorted(MODES)
    specs = [mode_spec(mode) for mode in modes]
    evidence = {mode: own(await ask(shop, mode)) for mode in modes}
    prompts = {mode: Writer(Question(text="x", mode=mode), Dossier()).opinion(Seat(name="a"))[0].text for mode in modes}
    for one, other in combinations(range(len(modes)), 2):
        assert specs[one].brief != specs[other].brief
        assert specs[one].shape != specs[other].shape
        assert specs[one].checks != specs[other].checks
        assert evidence[modes[one]] != evidence[modes[other]]
        assert specs[one].form not in prompts[modes[other]]
    for spec in specs:
        assert spec.brief in prompts[spec.name]
        assert spec.form in prompts[spec.name]


@pytest.mark.parametrize("mode", sorted(MODES))
async def test_each_mode_collects_what_it_wants(shop: Path, mode: Mode) -> None:
    found = own(await ask(shop, mode))
    for line in WANTED[mode]:
        assert line in found


async def test_what_a_mode_wants_stays_within_its_share_and_stands_behind_the_code(shop: Path) -> None:
    for number in range(60):  # far more than any share holds
        text = f"from shop.orders import load_orders\n\n\ndef use_{number}():\n    return load_orders('{number}')\n"
        (shop / "shop" / f"use_{number}.py").write_text(text, "utf-8")
    dossier = await ask(shop, "refactoring", 6_000)
    mine = [excerpt for excerpt in dossier.excerpts if excerpt.score == SCORE]
    assert 0 < sum(excerpt.tokens for excerpt in mine) <= 6_000 * WANTED_SHARE / 100
    assert " more" in own(dossier)
    code = [excerpt.path for excerpt in dossier.excerpts if excerpt.score > SCORE]
    assert "shop/orders.py" in code
    assert dossier.excerpts.index(mine[0]) >= len(code)
    small = await ask(shop, "refactoring", MIN_WANTED * 100 // WANTED_SHARE - 100)
    assert own(small) == ""


async def test_a_secret_is_in_no_evidence_of_any_mode(shop: Path) -> None:
    secret = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
    (shop / "config.yaml").write_text(f"orders: {secret}\n")
    (shop / "ARCHITECTURE.md").write_text(f"# Orders\n\nload_orders takes {secret}\n")
    web = shop / "shop" / "web.py"
    web.write_text(web.read_text().replace('["users"])', f'["users"])  # {secret}'))
    git(shop, "commit", "-qam", f"Orders with {secret}")
    for mode in MODES:
        assert secret[4:] not in own(await ask(shop, mode))


async def test_a_project_without_git_documents_or_tests_has_modes_too(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def load_orders():\n    return 1\n")
    for mode in MODES:
        dossier = await ask(tmp_path, mode)
        assert "load_orders" in dossier.excerpts[0].text


def test_every_kind_of_evidence_is_wanted_by_a_mode_and_known() -> None:
    assert {name for mode in MODES for name in mode_spec(mode).evidence} == set(GATHERERS)


# ---------------------------------------------------------------------------------------------------- signs in the code


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("@app.route('/x')", "route"),
        ("router.get('/x', handler)", "route"),
        ("@GetMapping(\"/x\")", "route"),
        ("name = request.args.get('n')", "request data"),
        ("const id = req.params.id", "request data"),
        ("$id = $_GET['id'];", "request data"),
        ("cur.execute(f\"SELECT {x}\")", "SQL built from text"),
        ("db.query('SELECT * FROM t WHERE id = ' + id)", "SQL built from text"),
        ("db.query(`SELECT ${id}`)", "SQL built from text"),
        ("cur.execute('SELECT * FROM t WHERE id = ?', (id,))", ""),
        ("subprocess.run(cmd, shell=True)", "runs a program"),
        ("eval(text)", "runs text as code"),
        ("model.eval()", ""),
        ("pickle.loads(data)", "deserialises"),
        ("yaml.safe_load(data)", ""),
        ("el.innerHTML = name", "unescaped output"),
        ("requests.get(url)", "fetches a URL"),
        ("args = sys.argv[1:]", "arguments"),
        ("key = os.environ['KEY']", "environment"),
        ("name = input('Who? ')", "standard input"),
        ("self.input(x)", ""),
        ("return total + 1", ""),
    ],
)  # fmt: skip
def test_ways_in_are_known_by_how_they_are_written(line: str, kind: str) -> None:
    assert entry(line) == kind


@pytest.mark.parametrize("filler", ["a", "(", "execute('", "@a.", "select ", "compile(", "'", "open("])
def test_a_hostile_line_takes_no_time(filler: str) -> None:
    began = time.process_time()
    for _ in range(20):
        entry(filler * (100_000 // len(filler)))
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("name", "path", "file"),
    [
        ("shop.store", "shop/web.py", "shop/store.py"),  # Python
        ("shop.store.connect", "shop/web.py", "shop/store.py"),
        (".store", "shop/web.py", "shop/store.py"),
        ("..store", "shop/deep/x.py", "shop/store.py"),
        ("shop", "other/x.py", "shop/__init__.py"),
        ("util.text", "shop/web.py", "src/util/text.py"),  # a source root
        ("./api", "ui/main.ts", "ui/api.ts"),  # JavaScript
        ("../ui/api.js", "lib/x.ts", "ui/api.ts"),
        ("./parts", "ui/main.ts", "ui/parts/index.ts"),
        ("example.com/me/proj/internal/db", "cmd/main.go", "internal/db/db.go"),  # Go names the directory
        ("com.acme.Order", "x/Y.java", "src/main/java/com/acme/Order.java"),
        ("sqlite3", "shop/store.py", ""),
        ("react", "ui/main.ts", ""),
        (".....up", "shop/web.py", ""),
        ("", "shop/web.py", ""),
    ],
)  # fmt: skip
def test_an_import_leads_to_the_file_that_it_means(name: str, path: str, file: str) -> None:
    files = (
        "shop/__init__.py", "shop/store.py", "shop/web.py", "shop/deep/x.py", "src/util/text.py", "ui/api.ts", "ui/main.ts",
        "ui/parts/index.ts", "internal/db/db.go", "src/main/java/com/acme/Order.java",
    )  # fmt: skip
    assert resolve(name, path, modules(files)) == file


def test_parts_are_directories_where_there_are_many_files_and_files_where_there_are_few() -> None:
    few = parts(["a/x.py", "a/y.py", "b.py"])
    assert few == {"a/x.py": "a/x.py", "a/y.py": "a/y.py", "b.py": "b.py"}
    many = parts([f"pkg/{part}/m{n}.py" for part in "ab" for n in range(40)])
    assert set(many.values()) == {"pkg/a", "pkg/b"}
