"""Makes ids that sort by time and names that people can say. Both use the operating system's randomness: Python's global
`random` belongs to the user, and Keras draws its seeds from it.
"""

from __future__ import annotations

import itertools
import os
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]


_counter = itertools.count(int.from_bytes(os.urandom(2), "big"))


def new_id() -> str:
    """Return a ULID: 48 bits of milliseconds and 80 more bits, as 26 characters of Crockford's base 32 (github.com/ulid/spec).

    The first 24 of the 80 bits are a counter, so that ids made in one millisecond keep their order; the rest is random.
    """
    milliseconds, count = time.time_ns() // 1_000_000, next(_counter) & 0xFFFFFF
    number = milliseconds << 80 | count << 56 | int.from_bytes(os.urandom(7), "big")
    pairs = _PAIRS
    return "".join([pairs[number >> shift & 1023] for shift in range(120, -1, -10)])


def new_name() -> str:
    """Return two words, such as `brave-otter`: one of some 50,000 names."""
    number = int.from_bytes(os.urandom(4), "big")
    adjective, animal = divmod(number % (len(ADJECTIVES) * len(ANIMALS)), len(ANIMALS))
    return f"{ADJECTIVES[adjective]}-{ANIMALS[animal]}"


def is_word(name: str) -> bool:
    """Return whether a shell reads the name as one plain word, and a command does not read it as an option."""
    return all(letter.isalnum() or letter in "-_./" for letter in name) and not name.startswith("-")


ADJECTIVES = """
able agile airy alert amber ample apt arctic ardent autumn azure balmy basic bold brave breezy brief bright brisk broad
bronze calm candid careful casual cheerful chief civil clean clear clever cloudy coastal cobalt cool copper coral cosmic
crimson crisp curious daring dashing deep deft dewy direct dusky eager early earnest easy elder elegant epic even exact
fabled fair famous fancy fast fine firm fleet floral fluent fond frank free fresh frosty gallant gentle giant gifted glad
gleaming golden good grand great green hale handy happy hardy hasty hearty hidden honest humble icy ideal indigo ivory
jade jaunty jolly jovial keen kind large lasting lavish level light lilac lively lofty long loyal lucid lucky lunar lush
magic major mellow merry mighty mild misty modern modest mossy native neat nimble noble north novel oaken ocean open
patient peaceful pearly placid plain plucky polar polite prime proud pure quick quiet radiant rapid rare ready regal
rich ripe rising robust rosy round royal ruby rustic sandy scarlet serene sharp shining shy silent silver simple sleek
smart smooth snowy social solar solid sonic spare spry stable starry steady still stoic stormy stout strong subtle summer
sunny super sure swift tame teal tender tidy timely topaz tranquil true trusty upbeat urban vast velvet vivid warm wary
wild willing windy winter wise witty woven young zany zesty
""".split()

ANIMALS = """
adder albatross alpaca ant antelope armadillo badger barracuda basilisk bat bear beaver bee beetle bison boar bobcat
bonobo buffalo bullfinch bunting butterfly camel caracal cardinal caribou cat chamois cheetah chipmunk cicada civet
cobra cod condor corgi cormorant cougar coyote crab crane cricket crow cuckoo curlew deer dingo dolphin dormouse dove
dragonfly duck dunlin eagle echidna eel egret eland elephant elk emu ermine falcon fennec ferret finch firefly flamingo
fox frog gannet gazelle gecko gibbon giraffe gnu goat goldfinch goose gopher grebe grouse gull hamster hare harrier hawk
hedgehog heron hoopoe hornet horse hound hummingbird hyena ibex ibis iguana impala jackal jackdaw jaguar jay kestrel
kingfisher kite kiwi koala kudu ladybird lark lemming lemur leopard linnet lion lizard llama lobster loon lynx macaw
magpie manatee mandrill mantis marlin marmot marten martin meerkat merlin mink mole mongoose moose moth mouse narwhal
newt nightjar nuthatch ocelot octopus okapi orca oriole osprey ostrich otter owl ox oyster panda panther parrot
partridge peacock pelican penguin petrel pheasant pigeon pika pike plover polecat pony porpoise puffin puma quail quokka
rabbit raccoon ram raven redstart reindeer robin rook salmon sandpiper seal serval shark sheep shrew shrike siskin skink
skylark sloth snail sparrow squid squirrel stag starling stoat stork swallow swan swift tapir tern thrush tiger toad
tortoise toucan trout turtle viper vole vulture wallaby walrus warbler wasp weasel whale wolf wolverine wombat wren yak
zebra
""".split()
