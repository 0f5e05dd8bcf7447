"""The word lists of the starter world, all our own choice of plain English words.

Kept in one place so that the vocabulary stays small: a model of a few million parameters must meet every word often.
"""


def listed(text: str) -> list[str]:
    """Words separated by spaces; one literal reads better than a hundred pairs of quotes."""
    return text.split()


GIRLS = listed(
    "Mira Anna Lena Ruth Clara Nora Ida Ella Rosa Vera Alma Edith Greta Hanna Iris Jane Kate Lucy Mona Olga Paula Rita Sara Tessa "
    "Wilma Zoe Bella Cora Dora Emma Fiona Gina Helen Ines June Karin Lily Marta Nina Opal Pearl Queenie Rhea Stella Thea Una Viola "
    "Wendy Yara Zelda Amy Beth Carol Daisy Eva Flora Gwen Hazel Ivy Joan Kim Laura Maud Nell Olive Petra Robin Susan Tilda Ursula "
    "Violet Willa Abby Betsy Celia Della"
)
BOYS = listed(
    "Tobin Adam Ben Carl David Emil Felix George Hugo Ivan Jack Karl Leo Max Noah Oscar Paul Quentin Ralph Simon Tom Victor Walter "
    "Albert Bruno Conrad Dennis Edgar Frank Gilbert Henry Isaac Jonas Kevin Luke Martin Nathan Otto Peter Roman Samuel Theo Urban "
    "Vincent Wilfred Xavier Arthur Bernard Colin Douglas Ernest Fred Gordon Harold Ian Joseph Kurt Lionel Morris Nigel Owen Philip "
    "Rupert Stanley Trevor Ulrich Vernon Wesley Alfred Barney Cedric Derek Edwin Floyd"
)
SURNAMES = listed(
    "Holt Reed Marsh Lane Field Stone Wells Brook Hill Woods Frost Penn Cole Ford Grant Hale Kent Lowe Moss Nash Park Rowe Shaw "
    "Todd Vance Webb York Bell Cross Dean Finch Gray Hart King Long Mills Page Rose Swan Ward"
)
TOWNS = listed(
    "Tolby Marn Elmford Greyhill Oakmere Redbridge Saltby Windham Ashbrook Millport Northwick Fernley Stonebeck Larkdale "
    "Whitecliff Brindle Copperton Drumlow Eastvale Foxhollow Goldcrest Harrowby Icefield Juniper Kelder Longmoor Mossgate Nettleby "
    "Owlton Pinewood Quarry Riverton Sandhaven Thornby"
)
JOBS = listed(
    "baker miller teacher farmer doctor painter tailor gardener fisher carpenter potter smith writer singer cook weaver shepherd "
    "sailor librarian clockmaker"
)
PETS = listed("cat dog rabbit parrot goat pony turtle hamster duck goose mouse donkey")
PET_NAMES = listed(
    "Pepper Biscuit Button Clover Dusty Fudge Ginger Honey Jasper Kipper Lucky Muffin Nugget Pickle Pudding Rusty Shadow Snowy "
    "Spot Sunny Teddy Toffee Tiger Waffle Whisper Ziggy Bramble Cocoa Domino Ember Feather Gizmo Hopper Jolly Marble Noodle Peanut "
    "Pebble Rocket Sparky"
)
FOODS = listed(
    "bread soup cheese honey apples pears fish rice beans carrots pancakes noodles cake plums potatoes mushrooms"
)
COLOURS = listed("red blue green yellow purple orange white black brown grey pink silver")
HOBBIES = listed(
    "swimming reading chess dancing fishing sewing singing climbing drawing skating gardening running cooking sailing"
)
MONTHS = listed(
    "January February March April May June July August September October November December"
)
DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
LANDMARKS = listed("river lake forest hill bridge castle lighthouse harbour mill tower")
GOODS = listed("glass wool candles boots paper wine baskets bells butter tea silk bricks")
MATERIALS = listed("wood iron clay glass wool leather paper copper stone silk")
OBJECTS = listed(
    "lantern kettle basket ladder clock chair blanket hammer bucket umbrella mirror drum candle spoon bottle hat broom lamp table "
    "brush pillow bell rope scarf flute box jug ring kite coat boat cup bowl fork plate wheel"
)
SHOP_COLOURS = listed("Blue Red Green Golden Silver Old Little Happy Busy Quiet Merry Lucky")
SHOP_NOUNS = listed(
    "Kettle Basket Fox Owl Anchor Rose Wheel Bell Star Oak Lantern Goose Boot Crown Swan Key"
)
CONDITIONS = ("sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "stormy", "clear")
WET = frozenset({"rainy", "snowy", "stormy"})

# Real-world general knowledge that needs no place: animal -> (sound, food, home, young).
ANIMALS = {
    "cow": ("moo", "grass", "a barn", "calf"),
    "dog": ("bark", "meat", "a kennel", "puppy"),
    "cat": ("meow", "fish", "a house", "kitten"),
    "horse": ("neigh", "hay", "a stable", "foal"),
    "sheep": ("bleat", "grass", "a field", "lamb"),
    "pig": ("grunt", "roots", "a sty", "piglet"),
    "duck": ("quack", "seeds", "a pond", "duckling"),
    "hen": ("cluck", "corn", "a coop", "chick"),
    "lion": ("roar", "meat", "the grassland", "cub"),
    "wolf": ("howl", "meat", "the forest", "pup"),
    "bee": ("buzz", "nectar", "a hive", "larva"),
    "frog": ("croak", "flies", "a pond", "tadpole"),
    "owl": ("hoot", "mice", "a hollow tree", "owlet"),
    "bear": ("growl", "berries", "a cave", "cub"),
}

# For training only, beside the lists above that the held-out items share: the more different words fill a slot, the less
# can any of them be learned by heart, and what stands in the slot must be read.
MORE_THINGS = listed(
    "carpet sofa pillowcase needle button shirt coat jacket glove sock belt purse bag sack barrel crate pot pan knife saucer teapot "
    "vase statue painting picture frame shelf cupboard drawer desk bench stool bed mattress curtain towel sponge soap comb razor "
    "watch necklace bracelet toy doll puzzle drumstick violin trumpet guitar piano book notebook pencil pen ruler map globe compass "
    "telescope wagon cart sled saddle tent shovel rake hoe saw nail screw hinge lock chain anchor paddle oar net hook lemon melon "
    "cabbage onion pumpkin loaf pie tart sandwich cookie sausage cherry peach balloon marble torch whistle ticket postcard stamp"
)
MORE_SHOP_COLOURS = listed(
    "White Black Misty Sunny Tiny Grand Royal Crooked Sleepy Jolly Hungry Honest Windy Mossy Copper Wooden Northern"
)
MORE_SHOP_NOUNS = listed(
    "Falcon Table Bakery Teapot Pear Kitchen Harbour Hammer Dragon Lion Candle Mill Corner Rabbit Apple Moon Ship Library"
)
MORE_GOOD = listed(
    "beautiful charming clever tasty superb splendid brilliant amazing nice kind helpful cheerful fantastic enjoyable comfortable "
    "impressive marvellous fresh fun funny exciting gorgeous magnificent"
)
MORE_BAD = listed(
    "ugly dirty noisy stupid cold awkward disgusting disappointing sad dreadful rotten weak miserable useless unfriendly annoying "
    "broken silly clumsy tasteless painful shabby dreary lousy"
)
MORE_NEUTRAL = listed(
    "ordinary typical regular standard medium wooden round square grey second local weekly large small daily"
)
MORE_PLACES_AND_SHOWS = listed(
    "train hospital teacher concert dinner salad tea coffee chair bakery museum play bridge shirt holiday guide letter speech "
    "doctor breakfast cheese team picnic zoo street office staff view ticket host choir painting flat beach kitchen"
)
# (present, past) of what people do to things; the past is also the participle.
MORE_DEEDS = (
    ("repair", "repaired"), ("clean", "cleaned"), ("wash", "washed"), ("carry", "carried"), ("drop", "dropped"), ("build", "built"),
    ("bring", "brought"), ("keep", "kept"), ("lend", "lent"), ("send", "sent"), ("polish", "polished"), ("admire", "admired"),
    ("mend", "mended"), ("fix", "fixed"), ("order", "ordered"), ("collect", "collected"), ("deliver", "delivered"), ("win", "won"),
    ("decorate", "decorated"), ("photograph", "photographed"), ("wrap", "wrapped"), ("unpack", "unpacked"), ("rent", "rented"),
    ("return", "returned"), ("need", "needed"), ("damage", "damaged"), ("discover", "discovered"), ("trade", "traded"),
)  # fmt: skip
