"""What a project is made of, how its tests are run, and what it tells those who work on it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestra_mcp.context.environment import instructions, manifests
from orchestra_mcp.context.environment.dependencies import Need, outline, requirement
from orchestra_mcp.context.environment.lockfiles import LOCKS
from orchestra_mcp.context.packing import estimate_tokens

ROOT = Path(__file__).resolve().parent.parent


def is_linear(work: Callable[[str], object], piece: str, head: str = "") -> bool:
    """True when four times the text takes well under sixteen times the CPU time; what takes no time at all is linear."""

    def seconds(size: int) -> float:
        text = head + piece * (size // len(piece))
        before = time.process_time()
        work(text)
        return time.process_time() - before

    return seconds(100_000) < 12 * max(0.02, seconds(25_000))


def described(files: dict[str, str], words: tuple[str, ...] = (), near: tuple[str, ...] = ()) -> manifests.Project:
    return manifests.describe(sorted(files), lambda path: files.get(path, ""), words, near)


def needs(files: dict[str, str], path: str, near: tuple[str, ...] = ()) -> list[str]:
    return [need.text for need in dict(described(files, near=near).facts)[path].needs]


# ------------------------------------------------------------------------------------------ manifests with lock files

PEP621 = """\
[project]
name = "shop"
version = "1.2"
requires-python = ">=3.11"
dependencies = ["Http_X[http2]>=0.27; python_version<'3.13'", "rich"]
[project.optional-dependencies]
pg = ["psycopg>=3"]
[dependency-groups]
dev = ["pytest>=8", {include-group = "pg"}]
"""
UV_LOCK = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "http-x"
version = "0.28.1"
source = { registry = "x" }
dependencies = [
    { name = "h11" },
]

[[package]]
name = "psycopg"
version = "3.2.3"

[[package]]
name = "pytest"
version = "8.3.4"

[package.metadata]
requires-dist = []
"""

ECOSYSTEMS: list[tuple[str, dict[str, str], list[str]]] = [
    ("pyproject.toml", {"pyproject.toml": PEP621, "uv.lock": UV_LOCK},
     ["Http_X 0.28.1", "rich", "psycopg 3.2.3 (pg)", "pytest 8.3.4 (dev)"]),
    ("pyproject.toml",
     {"pyproject.toml": '[tool.poetry]\nname="a"\n[tool.poetry.dependencies]\npython="^3.11"\nDjango="^5"\nmine={path="../x"}\n[tool.poetry.group.dev.dependencies]\nruff="*"\n',
      "poetry.lock": '[[package]]\nname = "django"\nversion = "5.1.4"\ndescription = "a"\n\n[package.dependencies]\nasgiref = ">=3"\n'},
     ["Django 5.1.4", "mine ../x", "ruff * (dev)"]),
    ("Pipfile", {"Pipfile": '[packages]\nflask="*"\n[dev-packages]\npytest=">=8"\n',
                 "Pipfile.lock": '{"default":{"flask":{"version":"==3.0.3"}},"develop":{"pytest":{"version":"==8.3.1"}}}'},
     ["flask 3.0.3", "pytest 8.3.1 (dev)"]),
    ("requirements.txt",
     {"requirements.txt": "-r requirements/base.txt\nflask==3.0 # web\nfoo @ git+https://u:secret@example.org/foo.git@v1\n"
                          "https://example.org/x.whl\n./local\nattrs ; python_version < '3.9'\n"},
     ["flask ==3.0", "foo @ foo.git@v1", "attrs"]),
    ("setup.py",
     {"setup.py": "from setuptools import setup\nREQ = [\n 'six>=1.9',  # old\n \"idna[all]<4\",\n]\nsetup(name='old', version='0.9', install_requires=REQ, python_requires='>=3.8')\n"},
     ["six >=1.9", "idna <4"]),
    ("setup.cfg", {"setup.cfg": "[metadata]\nname = a\n[options]\ninstall_requires =\n  six>=1\n  attrs\n[options.extras_require]\ntest =\n  pytest\n"},
     ["six >=1", "attrs", "pytest (test)"]),
    ("environment.yml", {"environment.yml": "name: sci\nchannels:\n  - conda-forge\ndependencies:\n  - python=3.12\n  - numpy=1.26.4\n  - conda-forge::scipy>=1.11\n  - pip\n  - pip:\n    - rich==13.7\n"},
     ["numpy =1.26.4", "scipy >=1.11", "rich ==13.7"]),
    ("package.json",
     {"package.json": '{"name":"w","dependencies":{"react":"^19","@a/b":"~1.0"},"devDependencies":{"vitest":"2"}}',
      "package-lock.json": '{"lockfileVersion":3,"packages":{"":{"name":"w"},"node_modules/react":{"version":"19.0.1"},'
                           '"node_modules/@a/b":{"version":"1.0.9"},"node_modules/c/node_modules/react":{"version":"17.0.2"}}}'},
     ["react 19.0.1", "@a/b 1.0.9", "vitest 2 (dev)"]),
    ("package.json",
     {"package.json": '{"dependencies":{"react":"^19"}}', "package-lock.json": '{"lockfileVersion":1,"dependencies":{"react":{"version":"19.0.1"}}}'},
     ["react 19.0.1"]),
    ("package.json",
     {"package.json": '{"dependencies":{"react":"^18.2.0","@a/b":"^1"}}',
      "yarn.lock": '# yarn lockfile v1\n\n\n"@a/b@^1", "@a/b@^1.1":\n  version "1.4.0"\n\nreact@^17.0.0:\n  version "17.0.2"\n\nreact@^18.0.0, react@^18.2.0:\n  version "18.3.1"\n  dependencies:\n    loose-envify "^1.1.0"\n'},
     ["react 18.3.1", "@a/b 1.4.0"]),
    ("package.json",
     {"package.json": '{"dependencies":{"react":"^18.2.0"}}',
      "yarn.lock": '__metadata:\n  version: 8\n\n"react@npm:^18.0.0, react@npm:^18.2.0":\n  version: 18.3.1\n  resolution: "react@npm:18.3.1"\n'},
     ["react 18.3.1"]),
    ("package.json",
     {"package.json": '{"dependencies":{"vite":"^5"},"devDependencies":{"zod":"3"}}',
      "pnpm-lock.yaml": "lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n      vite:\n        specifier: ^5\n        version: 5.4.1(@types/node@20.0.0)\n    devDependencies:\n      zod:\n        specifier: '3'\n        version: 3.23.8\n\npackages:\n\n  vite@4.0.0:\n    version: 4.0.0\n"},
     ["vite 5.4.1", "zod 3.23.8 (dev)"]),
    ("package.json",
     {"package.json": '{"dependencies":{"hono":"^4"}}', "bun.lock": '{\n  "lockfileVersion": 1,\n  "packages": {\n    "hono": ["hono@4.6.3", "", {}, "sha512"],\n  },\n}\n'},
     ["hono 4.6.3"]),
    ("go.mod",
     {"go.mod": "module ex.org/m\n\ngo 1.23\n\nrequire github.com/x/y v0.9.0\nrequire (\n\tgithub.com/a/b v1.2.3\n\tgithub.com/c/d v0.1.0 // indirect\n)\nreplace github.com/a/b => ../b\n"},
     ["github.com/x/y v0.9.0", "github.com/a/b replaced by ../b"]),
    ("Cargo.toml",
     {"Cargo.toml": '[package]\nname="c"\nversion="0.1.0"\n[dependencies]\nrand="0.8"\nfoo={package="bar",version="1"}\n[dev-dependencies]\nproptest="1"\n',
      "Cargo.lock": '[[package]]\nname = "bar"\nversion = "1.7.0"\n\n[[package]]\nname = "rand"\nversion = "0.7.3"\n\n[[package]]\nname = "rand"\nversion = "0.8.5"\ndependencies = [\n "libc",\n]\n'},
     ["rand 0.8.5", "bar 1.7.0", "proptest 1 (dev)"]),
    ("pom.xml",
     {"pom.xml": '<?xml version="1.0"?><project xmlns="http://maven.apache.org/POM/4.0.0"><parent><groupId>org.s</groupId><artifactId>boot</artifactId><version>3.2.1</version></parent>'
                 "<artifactId>app</artifactId><properties><jackson.version>2.17.0</jackson.version></properties>"
                 "<dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>managed</artifactId><version>4.4</version></dependency></dependencies></dependencyManagement>"
                 "<dependencies><dependency><groupId>com.j</groupId><artifactId>databind</artifactId><version>${jackson.version}</version></dependency>"
                 "<dependency><groupId>g</groupId><artifactId>managed</artifactId></dependency>"
                 "<dependency><groupId>j</groupId><artifactId>junit</artifactId><version>5</version><scope>test</scope></dependency></dependencies></project>"},
     ["org.s:boot 3.2.1 (parent)", "com.j:databind 2.17.0", "g:managed 4.4", "j:junit 5 (test)"]),
    ("build.gradle.kts",
     {"build.gradle.kts": 'val ktor = "2.3.9"\nplugins {\n  id("org.spring") version "3.1"\n}\ndependencies {\n  implementation("io.ktor:ktor-core:$ktor")\n  implementation(libs.ok.http)\n'
                          '  testImplementation(platform("org.junit:junit-bom:5.10.0"))\n  implementation("com.x:y")\n}\nkotlin { jvmToolchain(21) }\n',
      "gradle/libs.versions.toml": '[versions]\nokhttp = "4.12.0"\n[libraries]\nok-http = { module = "com.squareup:okhttp", version.ref = "okhttp" }\n',
      "gradle.lockfile": "# comment\ncom.x:y:1.5=compileClasspath\nempty=\n"},
     ["io.ktor:ktor-core 2.3.9", "com.squareup:okhttp 4.12.0", "org.junit:junit-bom 5.10.0 (test)", "com.x:y 1.5", "org.spring 3.1 (plugin)"]),
    ("App.csproj",
     {"App.csproj": '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net8.0</TargetFramework></PropertyGroup><ItemGroup>'
                    '<PackageReference Include="Serilog" Version="3.1.1"/><PackageReference Include="Dapper"/><PackageReference Include="Polly"><Version>8.*</Version></PackageReference></ItemGroup></Project>',
      "Directory.Packages.props": '<Project><ItemGroup><PackageVersion Include="Dapper" Version="2.1.35"/></ItemGroup></Project>',
      "packages.lock.json": '{"version":1,"dependencies":{"net8.0":{"Polly":{"type":"Direct","requested":"[8.*, )","resolved":"8.4.2"}}}}'},
     ["Serilog 3.1.1", "Dapper 2.1.35", "Polly 8.4.2"]),
    ("Gemfile",
     {"Gemfile": "source 'https://rubygems.org'\nruby '3.3.0'\ngem 'rails', '~> 8.0'\ngroup :test do\n  gem \"rspec-rails\"\nend\ngem 'pg', group: :production\n",
      "Gemfile.lock": "GEM\n  specs:\n    pg (1.5.9)\n    rails (8.0.1)\n      actioncable (= 8.0.1)\n    rspec-rails (7.1.0)\n\nDEPENDENCIES\n  rails (~> 8.0)\n"},
     ["rails 8.0.1", "rspec-rails 7.1.0 (test)", "pg 1.5.9 (production)"]),
    ("composer.json",
     {"composer.json": '{"require":{"php":">=8.3","ext-json":"*","monolog/monolog":"^3"},"require-dev":{"phpunit/phpunit":"^11"}}',
      "composer.lock": '{"packages":[{"name":"monolog/monolog","version":"3.7.0"}],"packages-dev":[{"name":"phpunit/phpunit","version":"v11.4.3"}]}'},
     ["monolog/monolog 3.7.0", "phpunit/phpunit 11.4.3 (dev)"]),
    ("mix.exs",
     {"mix.exs": 'defmodule A.MixProject do\n  def project, do: [app: :a, elixir: "~> 1.17", deps: deps()]\n  defp deps do\n    [\n      {:phoenix, "~> 1.7"},\n      {:credo, "~> 1.7", only: [:dev], runtime: false}\n    ]\n  end\nend\n',
      "mix.lock": '%{\n  "phoenix": {:hex, :phoenix, "1.7.14", "abc", [:mix], [], "hexpm", "def"},\n}\n'},
     ["phoenix 1.7.14", "credo ~> 1.7 (dev)"]),
    ("pubspec.yaml",
     {"pubspec.yaml": "name: app\nversion: 1.0.0\nenvironment:\n  sdk: ^3.5.0\ndependencies:\n  flutter:\n    sdk: flutter\n  http: ^1.2.0\n  mine:\n    path: ../mine\ndev_dependencies:\n  test: any\n",
      "pubspec.lock": 'packages:\n  http:\n    dependency: "direct main"\n    description:\n      name: http\n    source: hosted\n    version: "1.2.2"\n  test:\n    version: "1.25.8"\n'},
     ["http 1.2.2", "mine path mine", "test 1.25.8 (dev)"]),
    ("Package.swift",
     {"Package.swift": '// swift-tools-version: 5.9\nlet package = Package(name: "App", dependencies: [\n  .package(url: "https://github.com/vapor/vapor.git", from: "4.89.0"),\n  .package(url: "https://github.com/a/b", exact: "1.0.0"),\n], targets: [.testTarget(name: "T")])\n',
      "Package.resolved": '{"version":2,"pins":[{"identity":"vapor","location":"https://github.com/vapor/vapor.git","state":{"revision":"abc","version":"4.92.1"}}]}'},
     ["vapor 4.92.1", "b 1.0.0"]),
    ("build.sbt",
     {"build.sbt": 'name := "svc"\nscalaVersion := "3.3.1"\nval akka = "2.8.5"\nlibraryDependencies ++= Seq(\n  "com.typesafe.akka" %% "akka-actor" % akka,\n  "org.scalatest" %% "scalatest" % "3.2.17" % Test\n)\n'},
     ["com.typesafe.akka:akka-actor 2.8.5", "org.scalatest:scalatest 3.2.17 (test)"]),
    ("CMakeLists.txt",
     {"CMakeLists.txt": "cmake_minimum_required(VERSION 3.20)\nproject(app VERSION 2.1 LANGUAGES CXX)\nset(CMAKE_CXX_STANDARD 20)\nfind_package(Boost 1.80 REQUIRED)\n# find_package(Old 1)\n"
                        "FetchContent_Declare(fmt GIT_REPOSITORY https://example.org/fmt.git GIT_TAG 10.2.1)\nenable_testing()\n"},
     ["Boost 1.80", "fmt 10.2.1 (fetched)"]),
    ("conanfile.txt", {"conanfile.txt": "[requires]\nzlib/1.3.1\nfmt/10.2.1@user/stable\n[options]\nfmt/*:shared=True\n"}, ["zlib 1.3.1", "fmt 10.2.1"]),
    ("vcpkg.json", {"vcpkg.json": '{"name":"a","dependencies":["zlib",{"name":"fmt","version>=":"10.1"}],"overrides":[{"name":"zlib","version":"1.3"}]}'},
     ["zlib 1.3", "fmt >=10.1"]),
    ("Dockerfile", {"Dockerfile": "ARG PY=3.12\nFROM --platform=linux/amd64 python:${PY}-slim AS build\nRUN true\nFROM build\nFROM ghcr.io:443/a/b@sha256:abc\n"},
     ["python 3.12-slim", "ghcr.io:443/a/b"]),
    ("docker-compose.yml", {"docker-compose.yml": "services:\n  db:\n    image: postgres:16.2\n  web:\n    build: .\n"}, ["postgres 16.2"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "files", "expected"), ECOSYSTEMS, ids=[f"{n}-{p}" for n, (p, _, _) in enumerate(ECOSYSTEMS)]
)
def test_direct_dependencies_have_the_versions_that_were_resolved(
    path: str, files: dict[str, str], expected: list[str]
) -> None:
    assert needs(files, path) == expected
    windows = {name: text.replace("\n", "\r\n") for name, text in files.items()}
    assert needs(windows, path) == expected


def test_names_versions_and_runtimes_of_projects_are_told() -> None:
    text = described(
        {"pyproject.toml": PEP621, "uv.lock": UV_LOCK, ".python-version": "3.12.4\n", "src/a.py": "x"}
    ).text
    assert "pyproject.toml: Python project “shop 1.2”, Python >=3.11 (versions: uv.lock)" in text
    assert "Pinned: Python 3.12.4 (.python-version)" in text
    assert "python (1 files)" in text
    by_path = {path: files[path] for path, files, _ in ECOSYSTEMS for path in files}
    told = {path: fact.requires for path, fact in described(by_path).facts}
    all_told = {
        p: dict(described({p: t}).facts)[p].requires
        for p, t in by_path.items()
        if p in manifests.READERS or p == "environment.yml"
    }
    assert all_told["go.mod"] == "Go 1.23"
    assert all_told["Gemfile"] == "Ruby 3.3.0"
    assert all_told["mix.exs"] == "Elixir ~> 1.17"
    assert all_told["build.sbt"] == "Scala 3.3.1"
    assert all_told["CMakeLists.txt"] == "C++20"
    assert all_told["build.gradle.kts"] == "Java 21"
    assert all_told["environment.yml"] == "Python 3.12"
    assert all_told["Package.swift"] == "Swift 5.9"
    assert len(told) <= manifests.MAX_MANIFESTS


def test_included_requirement_files_are_read_and_stay_inside_the_project() -> None:
    files = {
        "requirements.txt": "-r reqs/base.in.txt\n-r ../outside.txt\nflask\n",
        "reqs/base.in.txt": "rich==14\n-r ../requirements.txt\n",
    }
    facts = dict(described(files).facts)
    assert [need.text for need in facts["reqs/base.in.txt"].needs] == ["rich ==14"]
    assert list(facts) == ["requirements.txt", "reqs/base.in.txt"]


def test_a_workspace_member_gets_its_own_versions_from_the_lock_file_above() -> None:
    files = {
        "package.json": '{"workspaces":["packages/*"],"devDependencies":{"jest":"29"}}',
        "packages/a/package.json": '{"name":"a","dependencies":{"react":"^17","zod":"3"}}',
        "package-lock.json": '{"packages":{"node_modules/react":{"version":"19.0.1"},"node_modules/zod":{"version":"3.1.0"},'
        '"packages/a/node_modules/react":{"version":"17.0.2"}}}',
    }
    assert needs(files, "packages/a/package.json") == ["react 17.0.2", "zod 3.1.0"]
    rust = {
        "Cargo.toml": '[workspace]\nmembers=["crates/*"]\n[workspace.dependencies]\nserde={version="1.0"}\nlog="0.4"\n',
        "crates/x/Cargo.toml": '[package]\nname="x"\n[dependencies]\nserde={workspace=true}\nlog.workspace=true\n',
        "Cargo.lock": '[[package]]\nname = "serde"\nversion = "1.0.217"\n',
    }
    assert needs(rust, "crates/x/Cargo.toml") == ["serde 1.0.217", "log 0.4"]
    maven = {
        "pom.xml": "<project><artifactId>top</artifactId><properties><v>9.9</v></properties></project>",
        "web/pom.xml": "<project><artifactId>web</artifactId><dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId><version>${v}</version></dependency></dependencies></project>",
    }
    assert needs(maven, "web/pom.xml") == ["g:a 9.9"]


# ---------------------------------------------------------------------------------------------- what is shown of it


def test_packages_that_the_question_names_come_first_and_the_text_stays_short() -> None:
    names = [f"package-{n:03d}" for n in range(120)]
    lines = ", ".join(f'"{name}>=1.{n}"' for n, name in enumerate([*names, "PyYAML", "beautifulsoup4", "tree-sitter"]))
    files = {"pyproject.toml": f'[project]\nname="big"\ndependencies=[{lines}]\n'}
    plain = described(files).text
    asked = described(files, words=("tree_sitter", "bs4", "YamlLoader")).text
    assert "beautifulsoup4" not in plain
    assert estimate_tokens(plain) <= manifests.MAX_TOKENS + 10
    assert estimate_tokens(asked) <= manifests.MAX_TOKENS + 10
    shown = asked.split("uses ")[1].split(", ")
    assert set(shown[:3]) == {"tree-sitter >=1.122", "beautifulsoup4 >=1.121", "PyYAML >=1.120"}
    assert " more" in asked


def test_product_dependencies_come_before_those_of_development() -> None:
    files = {"package.json": '{"devDependencies":{"eslint":"9"},"dependencies":{"koa":"2"}}'}
    assert "uses koa 2, eslint 9 (dev)" in described(files).text
    assert manifests.relevance(Need("org.springframework.boot:spring-boot-starter-web"), {"spring"}) == 3
    assert manifests.relevance(Need("@types/node", group="dev"), {"types"}) == 1


def test_in_a_monorepo_the_manifests_above_the_given_files_come_first() -> None:
    files = {
        "package.json": '{"name":"root","devDependencies":{"turbo":"2"}}',
        "apps/web/package.json": '{"name":"web","dependencies":{"next":"15"},"scripts":{"test":"vitest run"}}',
        "libs/deep/down/api/pyproject.toml": '[project]\nname="api"\ndependencies=["fastapi"]\n[tool.pytest.ini_options]\n',
        "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
    }
    near = described(files, near=("libs/deep/down/api/src/main.py",))
    assert [path for path, _ in near.facts][:2] == ["libs/deep/down/api/pyproject.toml", "package.json"]
    assert near.tests == "pytest (in libs/deep/down/api/)"
    assert [path for path, _ in described(files).facts] == ["package.json", "apps/web/package.json"]
    web = described(files, near=("apps/web/src/a.ts",))
    assert web.facts[0][0] == "apps/web/package.json"
    assert web.tests == "pnpm test (vitest run) (in apps/web/)"


def test_examples_and_installed_packages_do_not_speak_for_the_project() -> None:
    files = {
        "examples/a/package.json": '{"name":"demo","dependencies":{"left":"1"}}',
        "node_modules/x/package.json": '{"name":"x","dependencies":{"y":"1"}}',
        "src/go.mod": "module ex.org/m\n",
    }
    assert [path for path, _ in described(files).facts] == ["src/go.mod", "examples/a/package.json"]


# ------------------------------------------------------------------------------------------------------ running tests


@pytest.mark.parametrize(
    ("files", "tests"),
    [
        ({"Makefile": "all:\n\ntest: build\n\t@echo hi\n\t@pytest -x\n", "go.mod": "module x\n"}, ["make test → pytest -x (Makefile)"]),
        ({"Makefile": "test := 5\n"}, []),
        ({"justfile": "build:\n  cargo b\n\ntest *args:\n  cargo nextest run {{args}}\n"}, ["just test → cargo nextest run {{args}} (justfile)"]),
        ({"package.json": '{"scripts":{"test":"echo \\"Error: no test specified\\" && exit 1"}}'}, []),
        ({"package.json": '{"scripts":{"test":"jest"}}', "yarn.lock": "# x\n"}, ["yarn test (jest) (package.json)"]),
        ({"build.gradle": "dependencies {}\n", "gradlew": "#!"}, ["./gradlew test (build.gradle)"]),
        ({"pom.xml": "<project><artifactId>a</artifactId></project>", "mvnw": "#!"}, ["./mvnw test (pom.xml)"]),
        ({"tox.ini": "[testenv]\ncommands =\n    pytest {posargs}\n"}, ["tox → pytest {posargs} (tox.ini)"]),
        ({"tests/test_a.py": "import unittest\n"}, ["python -m unittest (tests/test_a.py)"]),
        ({"tests/test_a.py": "def test_x(): pass\n"}, ["pytest (tests/test_a.py)"]),
        ({"README.md": "run pytest\n", "src/a.c": "int x;"}, []),
        ({".github/workflows/ci.yml": "name: test\njobs:\n  t:\n    steps:\n      - uses: actions/setup-python@v5\n      - name: pytest\n      - run: pip install pytest\n      - run: |\n          uv run pytest -q --cov\n"},
         ["uv run pytest -q --cov (.github/workflows/ci.yml)"]),
        ({".github/workflows/ci.yml": "jobs:\n  t:\n    strategy:\n      matrix:\n        include:\n          - {name: PyPy, tox: pypy3}\n    steps:\n      - run: ps | grep pytest\n"}, []),
        ({"Makefile": "check:\n\truff check .\n"}, []),
        ({"Makefile": "check:\n\truff check .\n\tpytest\n"}, ["make check → pytest (Makefile)"]),
        ({"a/package.json": '{"scripts":{"test":"jest"}}', "b/package.json": '{"scripts":{"test":"mocha"}}', "c/go.mod": "module x\n"}, []),
        ({"web/package.json": '{"scripts":{"test":"jest"}}'}, ["npm test (jest) (in web/) (web/package.json)"]),
        ({".gitlab-ci.yml": "test:\n  script:\n    - go test -race ./...\n", "go.mod": "module x\n"},
         ["go test ./... (go.mod)", "go test -race ./... (.gitlab-ci.yml)"]),
        ({"App.csproj": '<Project><ItemGroup><PackageReference Include="Microsoft.NET.Test.Sdk" Version="17"/></ItemGroup></Project>'},
         ["dotnet test (App.csproj)"]),
        ({"Gemfile": "gem 'rails'\n", "Rakefile": "", "test/a_test.rb": ""}, ["bundle exec rake test (Rakefile)"]),
    ],
)  # fmt: skip
def test_the_way_to_run_tests_is_what_the_project_says(files: dict[str, str], tests: list[str]) -> None:
    assert [run.text for run in described(files).runs] == tests


def test_this_project_describes_itself() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    files = [path for path in listed if (ROOT / path).is_file()] or ["pyproject.toml", "Makefile"]
    project = manifests.describe(files, lambda path: (ROOT / path).read_text("utf-8", "replace"), ("pydantic",))
    assert project.tests == "make test"
    assert project.text.split("uses ")[1].startswith("pydantic >=")


# ---------------------------------------------------------------------------------------------- broken and hostile

LAUGHS = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
) + "]><project><artifactId>&j;</artifactId></project>"  # fmt: skip
SMALL = '<!DOCTYPE p [<!ENTITY a "lol">]><project><artifactId>&a;</artifactId></project>'
OUTSIDE = '<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><project><artifactId>&x;</artifactId></project>'


@pytest.mark.parametrize("name", ["pom.xml", "App.csproj", "Directory.Packages.props"])
@pytest.mark.parametrize("text", [LAUGHS, OUTSIDE, SMALL, "<project>" * 30_000, "<a>" * 100 + "</a>" * 99])
def test_hostile_xml_is_refused_and_noted(name: str, text: str) -> None:
    files = {name: text, "src/App.csproj": '<Project><ItemGroup><PackageReference Include="A"/></ItemGroup></Project>'}
    project = described(files)
    assert f"{name} could not be read" in project.notes
    assert "root:" not in project.text
    assert dict(project.facts)["src/App.csproj"].needs[0].name == "A"


BROKEN = ["{", "[]", "[project", "null", "\0\1", '{"dependencies": 5}', "project = 5", "a" * 1000, "[[package]]\nname = 3\n",
          '{"packages": [1, null], "pins": {"a": 1}}', "[" * 3000, "<project/>", '{"dependencies": {"a": [1]}}', "- - -\n: :\n"]  # fmt: skip


@pytest.mark.parametrize("name", sorted(manifests.READERS))
@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_manifest_breaks_nothing(name: str, text: str) -> None:
    project = described({name: text, "go.mod": "module ex.org/m\n"} if name != "go.mod" else {name: text})
    assert estimate_tokens(project.text) <= manifests.MAX_TOKENS + 60
    if name != "go.mod":
        assert ("go.mod", "Go module") in [(path, fact.kind) for path, fact in project.facts]


LOCKED = [(path, files, name) for path, files, _ in ECOSYSTEMS for name in files if name != path]


@pytest.mark.parametrize(
    ("path", "files", "name"), LOCKED, ids=[f"{n}-{lock}" for n, (_, _, lock) in enumerate(LOCKED)]
)
@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_lock_file_leaves_the_manifest_as_it_is(
    path: str, files: dict[str, str], name: str, text: str
) -> None:
    assert len(needs({**files, name: text}, path)) == len(needs(files, path))


def test_every_kind_of_lock_file_has_a_case_above() -> None:
    tried = {name for _, files, _ in ECOSYSTEMS for name in files}
    assert set(LOCKS) - tried == {"npm-shrinkwrap.json", "pdm.lock", "gradle.properties"}  # of the shape of others


PIECES = (
    "a",
    "(",
    "\n",
    " ",
    "#",
    "{:",
    "<a",
    "- ",
    "a: ",
    '"',
    "setup(install_requires=[",
    "project(",
    "gem '",
    "FROM --a ",
    "\n ",
    "test:",
    "= ",
)


@pytest.mark.parametrize(
    "name", sorted({*manifests.READERS, *LOCKS, "Makefile", ".github/workflows/ci.yml", ".gitlab-ci.yml"})
)
def test_hostile_manifests_take_linear_time(name: str) -> None:
    owner = next((key for key, reader in manifests.READERS.items() if name in reader.locks), "")
    sound = {"Cargo.toml": '[package]\nname="x"\n', "package.json": "{}", "pyproject.toml": PEP621}
    others = {owner: sound.get(owner, "x")} if owner else {}
    for piece in PIECES:
        assert is_linear(lambda text: described({**others, name: text}), piece)


def test_a_package_requirement_is_told_from_what_is_none() -> None:
    assert requirement("httpx[http2]>=0.27 ; python_version<'3'") == Need("httpx", ">=0.27")
    assert requirement("x @ https://u:p@host/x-1.0.tar.gz") == Need("x", "@ x-1.0.tar.gz")
    assert requirement("A (>=1,<2)") == Need("A", ">=1,<2")
    assert requirement("https://host/x.whl") is None
    assert requirement("") is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("package.json", '{"name":"w","dependencies":{"x":"git+https://me:hunter2@example.org/x.git#v1"}}'),
        ("Cargo.toml", '[package]\nname="c"\n[dependencies]\nx={git="https://me:hunter2@example.org"}\n'),
        ("requirements.txt", "x @ https://me:hunter2@example.org/x-1.0.whl\n"),
        ("pyproject.toml", '[tool.poetry.dependencies]\nx={url="https://me:hunter2@example.org/x.whl",version="1"}\n'),
    ],
)
def test_addresses_of_packages_do_not_tell_passwords(path: str, text: str) -> None:
    project = described({path: text})
    assert "x" in [need.name for need in project.facts[0][1].needs]
    assert "hunter2" not in project.text


def test_an_outline_keeps_the_keys_around_a_value() -> None:
    text = "a:\n  b: 1 # one\nl:\n- c: 'x: y'\n  e: z\n- d\n'k:1': v\n"
    assert list(outline(text)) == [
        (("a",), ""), (("a", "b"), "1"), (("l",), ""), (("l", "c"), "x: y"), (("l", "e"), "z"), (("l",), "d"), (("k:1",), "v"),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------ instructions

AGENTS = """\
# Shop

General remarks on this project that concern nobody in particular.

## Testing

Run `make test`. Database tests need `docker compose up db`.

```sh
# not a heading
pytest -x tests/
```

## Payments

All amounts are integer cents; never use floats in `Money`.

## Code of Conduct

Be kind when you test.

## Deployment

Push to main.
"""


def chosen(
    files: dict[str, str], words: tuple[str, ...] = (), limit: int = 250, near: tuple[str, ...] = ()
) -> list[instructions.Section]:
    return list(instructions.select(sorted(files), lambda path: files.get(path, ""), words, limit, near))


def test_sections_about_the_question_come_first_then_those_on_testing() -> None:
    found = chosen({"AGENTS.md": AGENTS}, ("Money", "round"))
    assert [(s.heading, s.start, s.end) for s in found] == [("Payments", 14, 16), ("Testing", 5, 12)]
    lines = AGENTS.split("\n")
    assert all(s.text == "\n".join(lines[s.start - 1 : s.end]) for s in found)


def test_the_limit_holds_and_a_cut_section_is_still_whole_lines() -> None:
    long = "# Style\n" + "".join(f"- rule {n} about naming things well\n" for n in range(60))
    for limit in (40, 100, 250):
        found = chosen({"CLAUDE.md": long}, (), limit)
        assert 0 < sum(estimate_tokens(s.text) for s in found) <= limit
        lines = long.split("\n")
        assert all(s.text == "\n".join(lines[s.start - 1 : s.end]) for s in found)


def test_the_nearest_directory_wins_and_others_do_not_apply() -> None:
    files = {
        "AGENTS.md": "# Testing\n\nRun everything.\n",
        "pkg/a/AGENTS.md": "# Testing\n\nRun only a.\n",
        "pkg/b/AGENTS.md": "# Testing\n\nRun only b.\n",
    }
    assert [s.path for s in chosen(files, near=("pkg/a/src/x.py",))] == ["pkg/a/AGENTS.md", "AGENTS.md"]
    assert [s.path for s in chosen(files)] == ["AGENTS.md"]


def test_rules_for_other_files_are_left_out_and_the_same_text_is_shown_once() -> None:
    rule = "---\ndescription: x\nglobs: *.ts, web/**\nalwaysApply: false\n---\n# Style\n\nUse tabs.\n"
    files = {
        ".cursor/rules/web.mdc": rule,
        "AGENTS.md": "# Style\n\nUse spaces.\n",
        "CLAUDE.md": "# Style\n\nUse spaces.\n",
    }
    assert [s.path for s in chosen(files, near=("app/x.py",))] == ["AGENTS.md"]
    found = chosen(files, near=("app/x.ts",))
    assert {s.path for s in found} == {".cursor/rules/web.mdc", "AGENTS.md"}
    assert next(s for s in found if s.path.endswith("mdc")).start == 6  # front matter is no instruction


def test_contributing_guides_give_their_testing_part_without_formalities() -> None:
    guide = "Contributing\n============\n\nThanks!\n\nRunning tests\n-------------\n\nUse ``tox -e py``.\n\nLicense\n-------\n\nYou license your tests.\n"
    found = chosen({"CONTRIBUTING.rst": guide})
    assert [s.heading for s in found] == ["Running tests"]
    assert found[0].text == "Running tests\n-------------\n\nUse ``tox -e py``."


def test_without_instructions_there_are_none() -> None:
    assert chosen({"README.md": "# Testing\n\nrun it\n"}) == []
    assert chosen({"AGENTS.md": "", "CLAUDE.md": "@AGENTS.md\n"}) == []


@pytest.mark.parametrize("piece", ["a", "#", "\n", "# \n", "`", "```\n", "- ", "---\n", "a b ", "\n\n ", "* test "])
def test_hostile_instructions_take_linear_time(piece: str) -> None:
    assert is_linear(lambda text: chosen({"AGENTS.md": text}, ("test", "a")), piece)
