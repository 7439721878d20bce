"""Words of the marketplace: what products are called, and what customers call them.

A concept (a kind of thing, a style, a category) has one to three forms. Whoever writes a title and
whoever types a query choose their forms independently, so matching letters is not enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.simulator.arrays import Floats, Ints

# By category, in the order of `catalogue.CATEGORIES`; kinds of things go from cheap to dear.
NOUNS = (
    "chewing gum/gum;pasta/noodles;bread/loaf;jam/marmalade;cookies/biscuits;rice;chocolate;"
    "tea;cheese;honey;coffee/espresso;olive oil",
    "snack/bite;soup/broth;sandwich/sub;salad/greens;breakfast/brunch;burger;lunch/midday meal;"
    "pizza;curry/masala;sushi;dinner/supper;tasting menu/chef menu",
    "socks/stockings;belt;cap/hat;scarf/shawl;t-shirt/tee;shirt/blouse;trousers/pants;"
    "sweater/pullover/jumper;dress/gown;sneakers/trainers;boots;jacket/coat",
    "cable/cord;charger/power adapter;mouse;flashlight/torch;keyboard;speaker/loudspeaker;"
    "headphones/headset;monitor/screen/display;tablet;camera;phone/smartphone;laptop/notebook",
    "candle;towel;pillow/cushion;vase;lamp/light;mirror;curtain/drape;shelf/bookcase;"
    "carpet/rug;chair/seat;table/desk;sofa/couch/settee",
    "soap/cleansing bar;comb;lipstick;brush;shampoo/hair wash;cream/lotion;mascara;"
    "sunscreen/sunblock;razor/shaver;serum;perfume/fragrance;hair dryer/blow dryer",
    "comic/graphic novel;magazine/journal;diary/planner;puzzle book/brain teasers;"
    "thriller/crime story;novel/fiction;poems/poetry;travel guide/guidebook;"
    "biography/life story;cookbook/recipe book;textbook/course book;atlas/map book",
    "sticker/decal;avatar/character;credits/coins;puzzle/jigsaw;dice;card game/card deck;"
    "expansion/add-on;gift card/voucher;board game/tabletop game;season pass;video game;"
    "controller/gamepad",
    "water bottle/flask;jump rope/skipping rope;ball;gloves/mitts;yoga mat/exercise mat;"
    "dumbbell/hand weight;backpack/rucksack;helmet;racket/paddle;sleeping bag;tent/shelter;"
    "bike/bicycle",
    "luggage tag;city map;museum pass;bus ticket/coach ticket;neck pillow/travel cushion;"
    "tour/excursion;train ticket/rail ticket;car rental/hire car;suitcase/trolley;"
    "hotel night/overnight stay;flight/plane ticket;cruise",
)
STYLES = (
    "organic/natural;italian;spicy/hot;sweet;roasted;vegan/plant-based",
    "vegan/plant-based;italian;asian;family/kids;gourmet/fine;quick/express",
    "vintage/retro;sporty/athletic;elegant/formal;casual/everyday;striped/lined;warm/winter",
    "wireless/cordless;compact/small;gaming;professional/pro;waterproof/rainproof;budget/basic",
    "modern/contemporary;rustic/country;minimalist/plain;cosy/snug;scandinavian/nordic;"
    "antique/vintage",
    "organic/natural;sensitive/gentle;luxury/premium;floral/flowery;travel-size/mini;male",
    "illustrated/picture;historical/period;introductory/beginner;prize-winning/acclaimed;"
    "pocket/small;romantic/love",
    "cooperative/team;fantasy/magic;strategy/tactical;family/kids;sci-fi/space;party/group",
    "lightweight/light;professional/pro;junior/kids;outdoor/trail;foldable/folding;training/gym",
    "guided/escorted;budget/cheap;luxury/premium;family/kids;romantic/couples;adventure/active",
)
DETAILS = (
    "dark;almond;lemon;vanilla;classic;wholegrain",
    "for one;for two;for four;weekday;weekend;terrace",
    "cotton;wool;linen;leather;denim;silk",
    "black;silver;white;blue;green;copper",
    "oak;walnut;steel;velvet;marble;bamboo",
    "rose;lavender;citrus;coconut;mint;amber",
    "paperback;hardcover;large print;boxed;signed;english",
    "blue;red;gold;dragon;castle;ocean",
    "red;black;carbon;yellow;aluminium;grey",
    "paris;lisbon;alps;coast;islands;vienna",
)
VARIANTS = (
    "100 g;250 g;500 g;1 kg",
    "small;regular;large;to share",
    "size S;size M;size L;size XL",
    "series 1;series 2;series 5;series 7",
    "30 cm;60 cm;90 cm;120 cm",
    "30 ml;50 ml;100 ml;200 ml",
    "volume 1;volume 2;volume 3;2nd edition",
    "level 1;level 5;2 players;4 players",
    "size S;size M;size L;size XL",
    "1 day;2 days;3 days;1 week",
)
PURPOSES = (
    "the weekly shopping;breakfast;a quiet evening;guests",
    "a night out;colleagues;a birthday;hungry people",
    "the office;the weekend;cold days;a party",
    "work;the road;your desk;long days",
    "the living room;small flats;the bedroom;the hallway",
    "every morning;dry skin;a gift;the bathroom",
    "long journeys;curious minds;a gift;rainy Sundays",
    "friends;long winters;players of all ages;a gift",
    "the gym;the mountains;beginners;every day",
    "two;first visits;a long weekend;the whole family",
)
CATEGORIES = (
    "groceries/food;restaurants/eating out;fashion/clothes;electronics/gadgets;home/furniture;"
    "beauty/cosmetics;books/reading;games/gaming;sports/fitness;travel/holidays"
)
MAKERS = ("Nor", "Bel", "Cas", "Dra", "Elm", "Fal", "Gri", "Hal", "Iv", "Jun", "Kol", "Lum")
ENDINGS = (
    "foods", "table", "wear", "tronic", "haven", "skin", "press", "play", "trek", "ways",
)  # fmt: skip

SHARES = np.array([[1.0, 1.0], [0.6, 1.0], [0.5, 0.8]])
"""Running shares of the first two forms of a concept that has one, two or three."""


@dataclass(frozen=True, slots=True)
class Words:
    """Forms of concepts: form f of concept c is `texts[first[c] + f]`, f < `count[c]`."""

    texts: tuple[str, ...]
    first: Ints
    count: Ints

    def choose(self, concept: Ints, drawn: Floats) -> Ints:
        """Position in `texts` of a form for each concept; `drawn` is uniform on [0, 1)."""
        later: Ints = (drawn[:, None] >= SHARES[self.count[concept] - 1]).sum(1)
        return self.first[concept] + later

    def other(self, concept: Ints, form: Ints) -> Ints:
        """The next form of each concept after the one given; the same where there is only one."""
        return self.first[concept] + (form - self.first[concept] + 1) % self.count[concept]


def words(concepts: Sequence[str]) -> Words:
    """Forms of concepts that are written as `form/form`."""
    forms = [concept.split("/") for concept in concepts]
    count = np.array([len(each) for each in forms])
    return Words(
        texts=tuple(form for each in forms for form in each),
        first=np.concatenate([[0], np.cumsum(count)[:-1]]),
        count=count,
    )


def split(rows: Sequence[str]) -> list[str]:
    """The concepts of all categories, one category after the other."""
    return [concept for row in rows for concept in row.split(";")]


NOUN_WORDS = words(split(NOUNS))
STYLE_WORDS = words(split(STYLES))
CATEGORY_WORDS = words(CATEGORIES.split(";"))
BRANDS = tuple(maker + ending for ending in ENDINGS for maker in MAKERS)
NOUNS_EACH, STYLES_EACH, BRANDS_EACH = 12, 6, len(MAKERS)
DETAILS_EACH, VARIANTS_EACH, PURPOSES_EACH = 6, 4, 4
