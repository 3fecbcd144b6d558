"""The stories behind `word_problems` that take three or four sums."""

from tutelage.tasks.generated.story import Story

LONG = (
    Story(
        "two_kinds_and_change",
        {"a": (2, 6, True), "b": (2, 9, True), "c": (3, 20), "d": (30, 120)},
        (("a", "*", "b"), ("r1", "+", "c"), ("d", "-", "r2")),
        (
            "{name} buys {a} {things} at ${b} each and a bag for ${c}. {She} pays with ${d}. How many dollars does {she} get back?",
            "A bag costs ${c} and one of the {things} costs ${b}. {name} takes the bag and {a} {things} and has ${d}. How many dollars are left?",
        ),
        (
            ("The {things} cost == dollars.", "{a} of them cost == dollars.", "For the {things} it is == dollars."),
            ("With the bag it is == dollars.", "The bag makes it == dollars.", "All together costs == dollars."),
            ("{She} has == dollars left.", "So == dollars remain.", "The change is == dollars."),
        ),
        ("scarves", "pens", "towels", "brushes"),
    ),
    Story(
        "two_kinds_of_packs",
        {"a": (2, 8, True), "b": (3, 10, True), "c": (2, 8, True), "d": (3, 10, True)},
        (("a", "*", "b"), ("c", "*", "d"), ("r1", "+", "r2")),
        (
            "{name} packs {a} large boxes with {b} {things} each and {c} small boxes with {d} each. How many {things} does {she} pack?",
            "There are {a} tables with {b} {things} each and {c} tables with {d} {things} each. How many {things} are there?",
        ),
        (
            ("The first hold == {things}.", "{a} times {b} is == {things}.", "On one side there are == {things}."),
            (
                "The others hold == {things}.",
                "{c} times {d} is == {things}.",
                "On the other side there are == {things}.",
            ),
            ("In all that is == {things}.", "Together they make == {things}.", "The total is == {things}."),
        ),
        ("plates", "glasses", "bowls", "spoons", "cups"),
    ),
    Story(
        "weekly_saving",
        {"a": (3, 15), "b": (3, 9, True), "c": (5, 25), "d": (4, 20)},
        (("a", "*", "b"), ("r1", "+", "c"), ("r2", "-", "d")),
        (
            "{name} saves ${a} a week for {b} weeks. {Her} uncle adds ${c}, and then {she} spends ${d} on a gift. How many dollars does {she} have?",
            "For {b} weeks {name} puts ${a} a week into a jar. {other} puts in ${c} more, and {name} takes out ${d}. How many dollars are in the jar?",
        ),
        (
            ("{She} saves == dollars.", "The weeks bring == dollars.", "{b} weeks of saving make == dollars."),
            ("With the extra money it is == dollars.", "Adding {c} gives == dollars.", "Then there are == dollars."),
            ("After that == dollars are left.", "Taking out {d} leaves == dollars.", "So == dollars remain."),
        ),
    ),
    Story(
        "shared_bill",
        {"a": (2, 6, True), "b": (4, 12, True), "c": (2, 24), "d": (2, 6, True)},
        (("a", "*", "b"), ("r1", "+", "c"), ("r2", "/", "d")),
        (
            "A group of {d} friends orders {a} pizzas at ${b} each and drinks for ${c}. They share the cost equally. How many dollars does each pay?",
            "{name} and {her} friends, {d} people in all, rent {a} boats at ${b} each and pay ${c} for a guide. Split evenly, how many dollars is it for each?",
        ),
        (
            ("The first part costs == dollars.", "{a} at {b} dollars cost == dollars.", "First it is == dollars."),
            ("In all it is == dollars.", "Adding {c} gives == dollars.", "The whole bill is == dollars."),
            ("Each pays == dollars.", "Split {d} ways that is == dollars.", "One share is == dollars."),
        ),
    ),
    Story(
        "three_days",
        {"a": (5, 30), "b": (2, 12), "c": (2, 3, True)},
        (("a", "+", "b"), ("r1", "*", "c"), ("a", "+", "r2")),
        (
            "{name} walks {a} minutes on Monday and {b} minutes more on each of the next {c} days. How many minutes does {she} walk in all?",
            "A bakery sells {a} cakes on the first day, and on each of the {c} days after it {b} more than on the first. How many cakes does it sell altogether?",
        ),
        (
            ("A later day has ==.", "Each day after the first is ==.", "{b} more than {a} is ==."),
            ("The later days make ==.", "{c} such days are ==.", "Over {c} days that is ==."),
            ("In all it is ==.", "With the first day that is ==.", "The total is ==."),
        ),
    ),
    Story(
        "half_then_share",
        {"a": (12, 96), "b": (2, 12), "c": (2, 6, True)},
        (("a", "/", "2"), ("r1", "-", "b"), ("r2", "/", "c")),
        (
            "{name} has {a} {things}. {She} keeps half, and of the other half {she} gives {b} to {other}. The rest is divided equally among {c} neighbours. How many {things} does each neighbour get?",
            "Half of {a} {things} are sold. From the rest {b} are thrown away, and what is left goes evenly into {c} baskets. How many {things} are in each basket?",
        ),
        (
            ("Half of them is == {things}.", "The half is == {things}.", "Half of {a} is ==."),
            ("Then there are == {things}.", "Without {b} it is == {things}.", "That leaves == {things}."),
            ("Each gets == {things}.", "In {c} equal parts that is == {things} each.", "So one part is == {things}."),
        ),
        ("oranges", "carrots", "potatoes", "apples"),
    ),
    Story(
        "bus_stops",
        {"a": (10, 45), "b": (2, 14), "c": (2, 15), "d": (2, 14)},
        (("a", "-", "b"), ("r1", "+", "c"), ("r2", "-", "d")),
        (
            "A bus leaves with {a} people. At the first stop {b} get off and {c} get on. At the second stop {d} get off. How many people are on the bus now?",
            "There are {a} people in the museum. {b} leave, {c} come in, and then {d} more leave. How many people are in the museum?",
        ),
        (
            ("After {b} left there are == people.", "First it is == people.", "{b} fewer is == people."),
            ("Then there are == people.", "With {c} more it is == people.", "{c} come, so == people."),
            ("In the end there are == people.", "At last it is == people.", "So now there are == people."),
        ),
    ),
    Story(
        "pages_left",
        {"a": (60, 99), "b": (4, 12, True), "c": (2, 5, True), "d": (3, 20)},
        (("b", "*", "c"), ("r1", "+", "d"), ("a", "-", "r2")),
        (
            "{name} has a book of {a} pages. {She} reads {b} pages a day for {c} days and {d} pages on the day after. How many pages are left?",
            "A wall needs {a} bricks. {name} lays {b} bricks an hour for {c} hours, and {other} lays {d}. How many bricks are still missing?",
        ),
        (
            ("First that is ==.", "{c} times {b} makes ==.", "The first part comes to ==."),
            ("Altogether it is ==.", "With {d} more it is ==.", "So far that makes ==."),
            ("So == are left.", "There remain ==.", "What is missing is ==."),
        ),
    ),
    Story(
        "farm_profit",
        {"a": (3, 9, True), "b": (4, 12, True), "c": (2, 6, True), "d": (5, 40)},
        (("a", "*", "b"), ("r1", "*", "c"), ("r2", "-", "d"), ("r3", "/", "2")),
        (
            "{name} fills {a} baskets with {b} {things} each and sells every one for ${c}. The stall costs ${d}. {She} and {other} share what is left equally. How many dollars does each get?",
            "Each of {a} trees bears {b} {things}, and each is sold for ${c}. After paying ${d} for transport, {name} and {other} split the rest evenly. How many dollars does {name} receive?",
        ),
        (
            ("There are == {things}.", "{a} times {b} is == {things}.", "In all that is == {things}."),
            ("They sell for == dollars.", "The sale brings == dollars.", "At {c} dollars each that is == dollars."),
            ("After the cost == dollars are left.", "Without {d} it is == dollars.", "Then == dollars remain."),
            ("Each gets == dollars.", "Half of it is == dollars.", "One share is == dollars."),
        ),
        ("peaches", "mangoes", "lemons", "pumpkins"),
    ),
    Story(
        "class_trip",
        {"a": (2, 5, True), "b": (10, 25), "c": (3, 12), "d": (2, 9, True), "e": (20, 90)},
        (("a", "*", "b"), ("r1", "+", "c"), ("r2", "*", "d"), ("r3", "+", "e")),
        (
            "A trip takes {a} classes of {b} pupils and {c} teachers. A ticket costs ${d} a person, and the bus costs ${e}. How many dollars does the trip cost?",
            "{name} invites {a} groups of {b} guests and {c} relatives. Each person's meal costs ${d}, and the hall costs ${e}. What is the cost in dollars?",
        ),
        (
            ("In the groups there are == people.", "{a} times {b} is == people.", "First there are == people."),
            ("With the others there are == people.", "Altogether == people come.", "Adding {c} gives == people."),
            (
                "For the people it costs == dollars.",
                "{d} dollars each make == dollars.",
                "Per person that is == dollars.",
            ),
            ("In all it costs == dollars.", "Adding {e} gives == dollars.", "The whole costs == dollars."),
        ),
    ),
    Story(
        "factory_week",
        {"a": (5, 20), "b": (3, 8, True), "c": (2, 20), "d": (2, 8, True)},
        (("a", "*", "b"), ("r1", "-", "c"), ("r2", "/", "d"), ("r3", "+", "1")),
        (
            "A machine makes {a} {things} an hour for {b} hours. {c} of them are faulty. The good ones are packed {d} to a box, and one more box is filled with spare parts. How many boxes are there?",
            "{name} folds {a} {things} an hour for {b} hours and drops {c} in the rain. {She} puts the rest into boxes of {d} and adds one box that was full before. How many boxes does {she} have?",
        ),
        (
            ("There are == {things}.", "{b} hours give == {things}.", "In all that is == {things}."),
            ("Of these == are good.", "Without {c} it is ==.", "That leaves ==."),
            ("They fill == boxes.", "In boxes of {d} that is ==.", "So the boxes number ==."),
            ("With one more there are == boxes.", "One more makes ==.", "In the end there are == boxes."),
        ),
        ("toys", "lamps", "bags", "caps"),
    ),
    Story(
        "recipe_batches",
        {"a": (2, 9, True), "b": (2, 6, True), "c": (2, 9, True), "d": (2, 12), "e": (60, 150)},
        (("a", "*", "b"), ("r1", "*", "c"), ("r2", "+", "d"), ("e", "-", "r3")),
        (
            "One cake takes {a} eggs. A baker makes {b} cakes a day for {c} days and breaks {d} eggs. {name} delivered {e} eggs. How many eggs are left?",
            "Every page needs {a} stamps. {name} fills {b} pages a week for {c} weeks and gives {d} stamps to {other}. {She} had {e} stamps. How many remain?",
        ),
        (
            ("At a time that is ==.", "{b} times {a} is ==.", "First it is ==."),
            ("Over the whole time it is ==.", "{c} times that is ==.", "Then it is ==."),
            ("With {d} more it is ==.", "Adding {d} gives ==.", "In all == are gone."),
            ("So == are left.", "There remain ==.", "That leaves ==."),
        ),
    ),
)
