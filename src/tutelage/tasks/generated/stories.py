"""The stories behind `word_problems` that take two sums."""

from tutelage.tasks.generated.story import Story

TWO_STEP = (
    Story(
        "gain_then_loss",
        {"a": (8, 45), "b": (4, 35), "c": (3, 30)},
        (("a", "+", "b"), ("r1", "-", "c")),
        (
            "{name} has {a} {things}. {Her} aunt gives {her_o} {b} more, and then {she} gives {c} of them to {other}. How many {things} does {name} have left?",
            "On Monday {name} owned {a} {things}. {She} bought {b} more on Tuesday and lost {c} on the way home. How many {things} remain?",
            "{name} collected {a} {things} in spring and {b} in summer. After handing {c} of them to {other}, how many {things} does {she} still have?",
        ),
        (
            ("{name} first has == {things}.", "Together that is == {things}.", "Adding them, {she} gets == {things}."),
            (
                "Then == {things} are left.",
                "After that {she} keeps == {things}.",
                "Taking away {c} leaves == {things}.",
            ),
        ),
        ("stickers", "marbles", "seashells", "postcards", "coins", "beads"),
    ),
    Story(
        "packs_plus_loose",
        {"a": (2, 9, True), "b": (3, 10, True), "c": (2, 20)},
        (("a", "*", "b"), ("r1", "+", "c")),
        (
            "{name} buys {a} packs of {things} with {b} in each pack. {She} already had {c} {things} at home. How many {things} does {she} have now?",
            "There are {a} boxes on the shelf, each with {b} {things}, and {c} more {things} lie on the table. How many {things} are there in all?",
            "A shop sells {things} in bags of {b}. {name} takes {a} bags and {c} single ones. How many {things} does {she} take?",
        ),
        (
            ("The packs hold == {things}.", "{a} packs of {b} make == {things}.", "In packs there are == {things}."),
            ("With the others there are == {things}.", "Adding {c} gives == {things}.", "So in all it is == {things}."),
        ),
        ("pencils", "batteries", "buttons", "candles", "tea bags", "balloons"),
    ),
    Story(
        "change_from_bill",
        {"a": (2, 8, True), "b": (2, 9, True), "c": (20, 100)},
        (("a", "*", "b"), ("c", "-", "r1")),
        (
            "{name} buys {a} {things} that cost ${b} each and pays with ${c}. How many dollars does {she} get back?",
            "One of the {things} at the market costs ${b}. {name} has ${c} and buys {a} of them. How much money, in dollars, is left?",
            "With ${c} in {her} purse, {name} picks {a} {things} at ${b} apiece. How many dollars does {she} have after paying?",
        ),
        (
            ("The {things} cost == dollars.", "{name} pays == dollars.", "{a} of them cost == dollars."),
            ("{She} has == dollars left.", "So == dollars remain.", "That leaves == dollars."),
        ),
        ("melons", "notebooks", "sandwiches", "plants", "mugs", "tickets"),
    ),
    Story(
        "share_equally_then_more",
        {"a": (12, 72), "b": (2, 9, True), "c": (2, 20)},
        (("a", "/", "b"), ("r1", "+", "c")),
        (
            "{a} {things} are shared equally among {b} children, and {name} is one of them. {name} already had {c} {things}. How many does {she} have now?",
            "{name} and {her} friends, {b} people in all, split {a} {things} evenly. Later {name} finds {c} more. How many {things} does {name} have?",
        ),
        (
            ("Each gets == {things}.", "One share is == {things}.", "Split evenly that is == {things} each."),
            ("{name} then has == {things}.", "With {c} more it is == {things}.", "So {name} ends with == {things}."),
        ),
        ("cherries", "cards", "walnuts", "grapes", "biscuits", "stamps"),
    ),
    Story(
        "more_than_then_total",
        {"a": (6, 45), "b": (3, 30)},
        (("a", "+", "b"), ("a", "+", "r1")),
        (
            "{name} picked {a} {things}. {other} picked {b} more than {name}. How many {things} did they pick together?",
            "{other} has {b} more {things} than {name}, who has {a}. How many {things} do the two have altogether?",
            "In the garden {name} counts {a} {things}, and {other} counts {b} more than that. What is the total they count?",
        ),
        (
            ("{other} has == {things}.", "For {other} that is == {things}.", "{b} more than {a} is ==."),
            ("Together they have == {things}.", "In total that makes == {things}.", "Both together: ==."),
        ),
        ("apples", "plums", "roses", "pears", "tomatoes", "mushrooms"),
    ),
    Story(
        "fewer_than_then_total",
        {"a": (4, 60), "b": (2, 45)},
        (("a", "-", "b"), ("a", "+", "r1")),
        (
            "{name} read {a} {things} last year. {other} read {b} fewer. How many {things} did they read in all?",
            "{other} sold {b} fewer {things} than {name}, who sold {a}. How many {things} did both sell?",
        ),
        (
            ("{other} comes to == {things}.", "That is == {things} for {other}.", "{b} fewer than {a} is ==."),
            ("Together that is == {things}.", "Both make == {things}.", "In all it is ==."),
        ),
        ("books", "magazines", "comics", "novels"),
    ),
    Story(
        "times_as_many_total",
        {"a": (2, 40), "b": (2, 6, True)},
        (("a", "*", "b"), ("a", "+", "r1")),
        (
            "{name} has {a} {things}. {other} has {b} times as many. How many {things} do they have together?",
            "{other} caught {b} times as many {things} as {name}. {name} caught {a}. How many did they catch altogether?",
        ),
        (
            ("{other} has == {things}.", "{b} times {a} is ==.", "For {other} it is == {things}."),
            ("Together they have == {things}.", "The total is == {things}.", "Both together: ==."),
        ),
        ("fish", "shells", "crabs", "marbles"),
    ),
    Story(
        "work_minus_expense",
        {"a": (5, 15, True), "b": (2, 8, True), "c": (3, 30)},
        (("a", "*", "b"), ("r1", "-", "c")),
        (
            "{name} earns ${a} an hour and works {b} hours. {She} spends ${c} on lunch and the bus. How many dollars does {she} keep?",
            "Mowing lawns pays ${a} per lawn. {name} mows {b} lawns and then buys fuel for ${c}. How many dollars are left?",
            "For {b} hours of tutoring at ${a} an hour {name} is paid, and {she} gives ${c} to {other}. How many dollars does {name} still have?",
        ),
        (
            ("{name} earns == dollars.", "The work brings == dollars.", "{She} is paid == dollars."),
            ("{She} keeps == dollars.", "After that == dollars are left.", "So == dollars remain."),
        ),
    ),
    Story(
        "laps_then_home",
        {"a": (2, 9, True), "b": (3, 40), "c": (2, 45)},
        (("a", "*", "b"), ("r1", "+", "c")),
        (
            "A lap around the {things} takes {b} minutes. {name} runs {a} laps and then walks home in {c} minutes. How many minutes is {she} out?",
            "{name} practises {b} minutes a day for {a} days and once more, for {c} minutes, with {other}. How many minutes is that in all?",
        ),
        (
            ("The first part takes == minutes.", "{a} times {b} minutes is ==.", "First it is == minutes."),
            ("In all that is == minutes.", "Adding {c} gives == minutes.", "With {c} more it is == minutes."),
        ),
        ("lake", "park", "stadium"),
    ),
    Story(
        "half_then_more",
        {"a": (6, 90), "c": (2, 30)},
        (("a", "/", "2"), ("r1", "-", "c")),
        (
            "{name} bakes {a} {things} and sells half of them. Of the rest {she} eats {c} with {other}. How many {things} are left?",
            "Half of the {a} {things} in the jar are taken by {other}, and {name} takes {c} more. How many {things} remain in the jar?",
        ),
        (
            ("Half of them is == {things}.", "After the half is gone there are == {things}.", "Half of {a} is ==."),
            ("Then == {things} are left.", "So == {things} remain.", "Taking {c} leaves == {things}."),
        ),
        ("cookies", "muffins", "pretzels", "sweets", "rolls"),
    ),
    Story(
        "rows_minus_missing",
        {"a": (3, 10, True), "b": (4, 10, True), "c": (2, 18)},
        (("a", "*", "b"), ("r1", "-", "c")),
        (
            "A hall has {a} rows of {b} {things}. {c} {things} are broken. How many {things} can be used?",
            "{name} sets out {a} rows with {b} {things} each, but {c} are taken away again. How many {things} stay?",
            "In {a} rows there are {b} {things} each. {name} counts {c} that are already occupied. How many are free?",
        ),
        (
            ("There are == {things} in all.", "The rows hold == {things}.", "{a} rows of {b} make == {things}."),
            ("That leaves == {things}.", "So == {things} are left.", "Without {c} it is == {things}."),
        ),
        ("chairs", "seats", "benches", "desks"),
    ),
    Story(
        "travel_remaining",
        {"a": (30, 99), "b": (5, 12, True), "c": (2, 6, True)},
        (("b", "*", "c"), ("a", "-", "r1")),
        (
            "The village is {a} kilometres away. {name} cycles {b} kilometres an hour for {c} hours. How many kilometres are left?",
            "{name} wants to walk a trail of {a} miles and does {b} miles a day. How many miles are left after {c} days?",
        ),
        (
            ("{name} covers ==.", "So far that is ==.", "{c} times {b} is ==."),
            ("The rest is ==.", "There are == left.", "So == still lie ahead."),
        ),
    ),
    Story(
        "age_later",
        {"a": (5, 30), "b": (2, 25), "c": (3, 20)},
        (("a", "+", "b"), ("r1", "+", "c")),
        (
            "{name} is {a} years old. {other} is {b} years older. How old will {other} be in {c} years?",
            "{other} was born {b} years before {name}, who is now {a}. What will be {other}'s age {c} years from now?",
        ),
        (
            ("{other} is now == years old.", "Now {other} is == years old.", "{b} years older means == years."),
            ("In {c} years that is == years.", "Later {other} will be == years old.", "Then the age is == years."),
        ),
    ),
    Story(
        "combine_then_pack",
        {"a": (8, 50), "b": (6, 40), "c": (2, 9, True)},
        (("a", "+", "b"), ("r1", "/", "c")),
        (
            "{name} has {a} {things} and {other} has {b}. They put them all into bags of {c}. How many bags do they fill?",
            "{a} red and {b} white {things} are packed {c} to a box. How many boxes does {name} need?",
        ),
        (
            ("There are == {things} together.", "In all that is == {things}.", "Adding them gives == {things}."),
            ("They fill ==.", "Packed {c} at a time that is ==.", "So the number is ==."),
        ),
        ("onions", "eggs", "candles", "tulips", "lemons"),
    ),
    Story(
        "three_times_of_day",
        {"a": (3, 40), "b": (3, 40), "c": (3, 40)},
        (("a", "+", "b"), ("r1", "+", "c")),
        (
            "In the morning {name} picks {a} {things}, at noon {b} and in the evening {c}. How many {things} is that in all?",
            "{name} has {a} {things}, {other} has {b}, and their neighbour has {c}. How many {things} do the three have together?",
        ),
        (
            ("The first two make == {things}.", "First that is == {things}.", "{a} and {b} are == {things}."),
            ("With the last it is == {things}.", "In all that makes == {things}.", "Adding {c} gives == {things}."),
        ),
        ("berries", "daisies", "peppers", "figs", "beans"),
    ),
    Story(
        "mixed_sets",
        {"a": (2, 20), "b": (2, 20), "c": (2, 5, True)},
        (("a", "+", "b"), ("r1", "*", "c")),
        (
            "Each of {c} children gets {a} red and {b} blue {things}. How many {things} do they get in all?",
            "One bag holds {a} large and {b} small {things}. How many {things} are in {c} such bags?",
        ),
        (
            ("One set has == {things}.", "Each time that is == {things}.", "{a} and {b} are == {things}."),
            ("All of them make == {things}.", "{c} times that is == {things}.", "In all it is == {things}."),
        ),
        ("crayons", "balls", "blocks", "ribbons"),
    ),
    Story(
        "boxes_of_bags",
        {"a": (2, 5, True), "b": (2, 5, True), "c": (2, 9, True)},
        (("a", "*", "b"), ("r1", "*", "c")),
        (
            "A box holds {a} bags with {b} {things} each. How many {things} are in {c} boxes?",
            "{name} plants {b} {things} in each of {a} rows, and does so in {c} gardens. How many {things} does {she} plant?",
        ),
        (
            ("One holds == {things}.", "At first that is == {things}.", "{a} times {b} is == {things}."),
            ("All hold == {things}.", "{c} times that is == {things}.", "In all it is == {things}."),
        ),
        ("bulbs", "seeds", "nuts", "cabbages"),
    ),
    Story(
        "things_and_a_cap",
        {"a": (2, 8, True), "b": (2, 9, True), "c": (2, 40)},
        (("a", "*", "b"), ("r1", "+", "c")),
        (
            "{name} buys {a} {things} at ${b} each and a cap for ${c}. How many dollars does {she} pay?",
            "A cap costs ${c}, and one of the {things} costs ${b}. What do a cap and {a} {things} cost in dollars?",
        ),
        (
            ("The {things} cost == dollars.", "{a} of them cost == dollars.", "For the {things} it is == dollars."),
            ("With the cap it is == dollars.", "In all that is == dollars.", "Adding {c} gives == dollars."),
        ),
        ("socks", "shirts", "belts", "gloves"),
    ),
    Story(
        "more_than_a_multiple",
        {"a": (2, 20), "b": (2, 5, True), "c": (2, 25)},
        (("a", "*", "b"), ("r1", "+", "c")),
        (
            "{name} has {a} {things}. {other} has {c} more than {b} times that number. How many {things} does {other} have?",
            "{other} found {b} times as many {things} as {name}, who found {a}, and then {c} more. How many did {other} find?",
        ),
        (
            ("{b} times {a} is == {things}.", "At first that is == {things}.", "The multiple is == {things}."),
            ("With {c} more it is == {things}.", "Adding {c} gives == {things}.", "So {other} has == {things}."),
        ),
        ("pebbles", "feathers", "acorns", "chestnuts"),
    ),
    Story(
        "fence_around",
        {"a": (4, 60), "b": (3, 45)},
        (("a", "+", "b"), ("r1", "*", "2")),
        (
            "A {things} is {a} metres long and {b} metres wide. How many metres of fence go all the way around it?",
            "{name} walks once around a {things} that is {a} metres long and {b} metres wide. How many metres does {she} walk?",
        ),
        (
            ("Two sides make == metres.", "One long and one short side are == metres.", "Half the way is == metres."),
            ("All the way around is == metres.", "Twice that is == metres.", "In all it is == metres."),
        ),
        ("garden", "field", "yard", "playground"),
    ),
)
