"""Words of questions: those that say nothing, those that mean the same, and those that mean opposites.

Lists of this kind never end; `likeness` does not rest on them alone. Add a word where it belongs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

FILLERS: Final = frozenset(
    """
    a about actually an and any anybody are as at be been being best better but by can come could did do does doing done
    ever explain explanation for get gets getting give given good got had has have having hello help here hey hi how i
    idiomatic if in into is it its itself just kindly know let like little lot make makes making many matter may me mean
    meaning meant might most much must my need needs now of ok on one ones or our ours out over own perform please
    possible proper properly purpose quite really recommended right same say says sensible shall should show simple
    simply so some somebody somehow someone something step steps such suggest tell than thank thanks that the their
    them then there these they thing things this those through tip tips to trick tricks try understand up us use used
    useful using usual very want wants was way ways we well were what whats when where whether which while who whom
    whose why will wish with would wrong yet you your describe definition define term word words question answer advice
    called certain find exactly happen happens happening idea cause causes reason reasons correct appropriate easy
    easiest easily go goes going put particular
    """.split()
)  # fmt: skip
"""They may come and go without changing what is asked."""

NEGATIONS: Final = frozenset(
    """
    not no never none nobody nothing nowhere neither nor without cannot cant dont doesnt didnt isnt arent wasnt werent
    wont wouldnt shouldnt couldnt hasnt havent hadnt except exclude excluding unless instead rather fail fails failed
    failing unable impossible
    """.split()
)  # fmt: skip

NAMES: Final = frozenset(
    """
    javascript typescript postgresql mysql sqlite mongodb github gitlab bitbucket youtube linkedin macos ios iphone
    ipad graphql nodejs devops numpy pytorch tensorflow matplotlib scipy jupyter fastapi powershell webassembly
    wordpress openai chatgpt oauth openapi grpc kafka rabbitmq dataframe dataframes webpack nextjs latex opengl
    intellij vscode localstorage dynamodb bigquery clickhouse cloudfront openssl openssh crashloopbackoff
    statefulset configmap
    """.split()
)
"""Written with capitals in the middle, but words like others."""

_SAME: Final = """
delete remove erase drop rid eliminate purge discard throw away
error exception fault
bug defect
fix solve resolve repair mend cure
folder directory dir
file files
start begin launch
stop halt
end finish terminate
kill terminate
create build new generate
change modify edit alter
fast quick quickly faster rapid speed quicker
slow slowly slower
big large huge
small little tiny
show display print output list view see
check test verify examine inspect determine
find search locate look seek
function method
parameter argument
variable var
environment env
string str text
integer int
boolean bool
dictionary dict
array list
database db
javascript js
typescript ts
python py
postgres postgresql
kubernetes k8s kubectl
github gh
container containers
command cmd
terminal shell cli
reverse backwards invert
merge combine join concatenate
duplicate duplicates twice repeated deduplicate dedupe
convert turn transform translate parse
copy clone duplicate
transfer copy send
read load parse
write save store
run execute
iterate loop looping
count number tally
average mean
maximum max largest highest biggest
minimum min smallest lowest
second 2nd
first 1st
third 3rd
last latest newest recent
computer machine laptop pc host
program script application app process
website site page web webpage
picture image photo
user users
password passwords
recipe recipes
buy purchase
car automobile
illness disease
doctor physician
child kid
job work
salary pay wage
price cost
shop store
autumn fall
film movie
difference differ different differs compare versus vs
advantage benefit pro
disadvantage drawback con
protect prevent avoid
limit restrict
key keys
value values
row rows record
column field
memory ram
disk storage
network net
request requests call
authorization authorisation
behavior behaviour
color colour
center centre
color colour
optimize optimise
serialize serialise
initialize initialise
normalize normalise
memoization memoisation
denormalize denormalise
kilometer kilometre
directory path
symlink symbolic soft
asymmetric public-key
undo revert
revert back
return back
rename name
reload refresh
install setup
configure configuration config set
schedule scheduled timer
extract unpack unzip
archive tarball
compress zip
log logs
deploy deployment release
rollback roll
scale scaling
cluster clusters
pod pods
node nodes
branch branches
commit commits
conflict conflicts
remote remotes
repository repo
person people
cat cats
dog dogs
cook prepare
clean wash
temperature heat
distance far
author write wrote
city town
quickly fast
sleep asleep
sharp sharpen
flat puncture
baby infant
calm soothe
grocery groceries food
save spare
raise increase
decrease lower reduce shrink
expensive dear
cheap inexpensive
fail broken break crash
crash exit abort
wait pause
pass hand
access reach
allow permit enable
disable off
forbid deny disallow
inside within
several multiple
every each all
example sample
accident accidentally mistake
secure safe safely
random randomly
live realtime
empty blank
missing nan
expand widen
notify tell
download fetch
fetch get
upload send
choose pick select
rule rules
practice practise
guide tutorial
type kind
size length
""".strip()

OPPOSITES: Final = """
first last;start stop;start end;begin end;begin finish;enable disable;allow forbid;allow block;allow deny;on off;
increase decrease;raise lower;up down;upgrade downgrade;add remove;add delete;insert delete;create delete;create drop;
install uninstall;push pull;read write;load save;load store;import export;encode decode;encrypt decrypt;
compress decompress;pack unpack;zip unzip;serialize deserialize;marshal unmarshal;pickle unpickle;
ascending descending;max min;maximum minimum;largest smallest;highest lowest;longest shortest;best worst;
more fewer;more less;larger smaller;bigger smaller;greater less;before after;above below;over under;left right;top bottom;
horizontal vertical;horizontally vertically;row column;rows columns;key value;keys values;open close;opened closed;lock unlock;
mount unmount;grant revoke;public private;local remote;client server;frontend backend;input output;stdin stdout;
stderr stdout;source target;parent child;ancestor descendant;sync async;synchronous asynchronous;blocking nonblocking;
mutable immutable;optional required;positive negative;true false;pass fail;passes fails;success failure;right wrong;
keep discard;keep drop;keep throw;show hide;visible hidden;attach detach;connect disconnect;subscribe unsubscribe;publish subscribe;
sender receiver;producer consumer;request response;upload download;send receive;buy sell;lend borrow;give take;
gain lose;win lose;hot cold;warm cool;freeze defrost;freezing boiling;soft hard;raw cooked;light dark;light heavy;
early late;earlier later;fast slow;faster slower;fastest slowest;quick slow;cheap expensive;cheapest dearest;old new;oldest newest;
young old;internal external;inner outer;inside outside;include exclude;includes excludes;with without;
directed undirected;symmetric asymmetric;optimistic pessimistic;preorder postorder;stack queue;advantage disadvantage;
advantages disadvantages;pro con;pros cons;monolith microservices;stage unstage;staged unstaged;tighten loosen;
rise fall;north south;east west;spring autumn;summer winter;morning evening;day night;today tomorrow;yesterday tomorrow;
wide narrow;wide long;deep shallow;strong weak;high low;higher lower;overfitting underfitting;precision recall;
horizontal vertical;ours theirs;our their;cordon uncordon;staging production;request limit;push fetch;commit rollback;
bold italic;even odd;inclusive exclusive;absolute relative;static dynamic;signed unsigned;checked unchecked;
read-only writable;sequential parallel;single multiple;once twice;always never;never always;sometimes never;
apply drop;issue revoke;predict classify;unit integration;up-to-date outdated;valid invalid;begin close;renew cancel;
arrive leave;departure arrival;enter exit;login logout;sign-in sign-out;hire fire;accept reject;approve reject;
hash verify;fill drop;wake asleep;alive dead;plain encrypted;ripen keep
""".strip().replace("\n", "")

_ENDINGS: Final = (
    ("ications", "ic"), ("ications", "ic"), ("ization", "iz"), ("isation", "iz"), ("ising", "iz"), ("izing", "iz"), ("ised", "iz"),
    ("ized", "iz"), ("ise", "iz"), ("ize", "iz"), ("iness", "i"), ("ations", "at"), ("ation", "at"), ("ating", "at"), ("ated", "at"),
    ("ate", "at"), ("ies", "i"), ("ied", "i"), ("ings", ""), ("ing", ""), ("sses", "ss"), ("ers", "er"), ("ed", ""), ("es", ""),
    ("ly", ""), ("s", ""), ("e", ""), ("y", "i"),
)  # fmt: skip


_WHOLE: Final = frozenset("https letters always kubernetes redis pandas process access across class css sass".split())
"""Not to be cut: they would become other words."""


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A word without its ending: a rough stem, the same for most forms of it, in British and American spelling."""
    if len(word) <= 3 or not word.isalpha() or word in _WHOLE:
        return word
    word = word.replace("colour", "color").replace("behaviour", "behavior").replace("centre", "center")
    for ending, left in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not (ending == "s" and word.endswith("ss")):
            word = word[: -len(ending)] + left
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    return word


@lru_cache(maxsize=1)
def meanings() -> dict[str, frozenset[int]]:
    """Stem → numbers of the groups of words that mean the same; a word may be in several."""
    groups: dict[str, set[int]] = {}
    for number, line in enumerate(_SAME.splitlines()):
        for word in line.split():
            groups.setdefault(stem(word), set()).add(number)
    return {word: frozenset(numbers) for word, numbers in groups.items()}


@lru_cache(maxsize=1)
def opposites() -> frozenset[tuple[str, str]]:
    """Pairs of stems that mean opposites, in both orders."""
    pairs = [tuple(stem(word) for word in pair.split()) for pair in OPPOSITES.split(";") if pair.strip()]
    return frozenset(pair for a, b in pairs if a != b for pair in ((a, b), (b, a)))


def same(one: str, other: str) -> bool:
    """Whether two stems may mean the same."""
    if one == other:
        return True
    known = meanings()
    return bool(known.get(one, frozenset()) & known.get(other, frozenset()))
