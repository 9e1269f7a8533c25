"""Prompts and answers written for tests and for the pictures in docs/. Nobody's data set is among them."""

SOURDOUGH = "My sourdough is dense, with a gummy line at the bottom. What should I change first?"
SOURDOUGH_ANSWERS = [
    "The gummy line says that the loaf was **underproofed** or cut too soon.\n\n"
    "1. Let the dough rise until it has grown by about half, not by the clock.\n"
    "2. Bake until the crumb reaches 97 °C.\n"
    "3. Wait two hours before you cut it.\n\n"
    "Change the first one alone, so that you can see what it does.",
    "There are many possible reasons. Your starter may be weak, your flour may be old, your oven may be too cold or "
    "the dough too wet. Try a different recipe, and make sure that you follow every step. Baking takes practice, so do "
    "not give up!",
    "Feed the starter twice a day for three days, and use it at its peak. A weak starter gives a dense loaf whatever "
    "else you do.",
    "Less water. Take 20 g off for each 500 g of flour, and shape the loaf tighter.",
]
MEETING = "Write a short note that moves Thursday's meeting to Friday at 10. Say sorry, and keep it friendly."
MEETING_ANSWERS = [
    "Hello all,\n\nI am sorry for the short notice: could we meet on **Friday at 10** instead of Thursday? The agenda "
    "stays the same. If that is difficult for you, tell me and we will find another time.\n\nThank you,\nMira",
    "Dear Sir or Madam,\n\nplease be advised that the meeting has been rescheduled. Kindly update your calendars "
    "accordingly.\n\nSincerely,",
]
MEDIAN = "Write a Python function that returns the median of a list, and say what it does with an empty one."
MEDIAN_ANSWERS = [
    "```python\n"
    "def median(numbers):\n"
    '    """Return the middle of the numbers, or the mean of the two middle ones."""\n'
    "    if not numbers:\n"
    '        raise ValueError("an empty list has no median")\n'
    "    ordered = sorted(numbers)\n"
    "    half = len(ordered) // 2\n"
    "    if len(ordered) % 2:\n"
    "        return ordered[half]\n"
    "    return (ordered[half - 1] + ordered[half]) / 2\n"
    "```\n\n"
    "An empty list raises `ValueError`: there is no number that would be right.",
    "Use the standard library:\n\n```python\nfrom statistics import median\n\nmedian([3, 1, 2])  # 2\n```\n\n"
    "With an empty list it raises `StatisticsError`.",
    "```python\ndef median(l): return sorted(l)[len(l)//2]\n```\n\nIt returns the middle element. For an empty list it "
    "returns nothing.",
    "The median is the value in the middle of a sorted list. Half of the values are smaller, and half are larger. It "
    "is less moved by outliers than the mean.",
]
LEAVES = "Why do leaves turn red in autumn? Answer for a curious ten-year-old."
LEAVES_ANSWERS = [
    "In summer a leaf is full of green stuff that catches sunlight. When the days get short, the tree takes the green "
    "back to keep it for spring. Then you can see the yellow that was hiding behind it. The red is new: some trees "
    "make it as a kind of sun cream while they pack up.",
    "Leaves turn red because of anthocyanins, flavonoid pigments synthesised in the vacuole when abscission impedes "
    "the export of sugars.",
    "Because it gets cold, and the leaves die.",
    "Trees paint their leaves before they throw them a goodbye party. Red is the colour of party hats!",
]
LEAP_YEARS = [
    {"role": "user", "content": "Is 1900 a leap year?"},
    {"role": "assistant", "content": "Yes: 1900 can be divided by 4."},
    {"role": "user", "content": "Are you sure? My calendar disagrees. Give me the rule in one line."},
]
LEAP_YEARS_ANSWERS = [
    "Your calendar is right, and I was wrong: a year is a leap year if 4 divides it, unless 100 does and 400 does not.",
    "Yes, I am sure. Every fourth year is a leap year.",
]
THINGS = (
    "tides rainbows yeast magnets thunder volcanoes glaciers mirrors batteries echoes dreams hiccups compasses "
    "vaccines lighthouses clouds shadows locks bridges bicycles kites snow honey sleep seeds bells maps clocks wool "
    "glass paper salt soap sails wells wheels anchors bread candles dew eggs frost ink jam keys lenses moss nets "
    "olives pearls quilts rust sand tea umbrellas vinegar whistles yoghurt zips"
)
EXPLAIN = [
    (f"Explain {thing} in two sentences.", [f"Of {thing}, shortly.", f"A longer answer on {thing}, with a reason."])
    for thing in THINGS.split()
]

# Hard to lay out: long words, wide tables, code, formulas, other scripts and directions.
WIDE_TABLE = (
    "| compiler | released | platforms it can build for | licence | the option that turns on all warnings |\n"
    "| :-- | --: | :-- | :-: | :-- |\n"
    "| one that has a rather long name | 1987 | very many, embedded ones included | GPL-3.0-or-later | "
    "`-Wall -Wextra -Wpedantic` |\n"
    "| another | 2007 | as many | Apache-2.0 | `-Weverything` |\n"
)
LONG_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
LONG_ADDRESS = "https://example.org/a/very/long/address/" + "that-does-not-end-" * 8
ROOTS = r"$$x_{1,2} = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$$"
LONG_FORMULA = "$$" + " + ".join(rf"\frac{{x^{{{n}}}}}{{{n}!}}" for n in range(1, 30)) + "$$"
HARD = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": f"See {LONG_ADDRESS} and compare."},
    {"role": "assistant", "content": f"Which of them?\n\n{WIDE_TABLE}"},
    {"role": "user", "content": f"Compare **both**, `exactly`, with a table and a formula.\n\n{LONG_WORD}"},
]
HARD_ANSWERS = [
    f"## They differ in three ways\n\n{WIDE_TABLE}\nSee [the manual]({LONG_ADDRESS}) — {LONG_WORD}.\n\n{ROOTS}\n\n"
    "```python\n" + "print('a line of code that is so long that it cannot fit into any column of this page', end='')\n"
    "```\n\n> Quoted, once.\n\n- one\n- two\n    - two and a half 👩‍👩‍👧‍👦\n\n1. first\n2. second\n",
    f"### Shorter\n\nWith $e^{{i\\pi}} + 1 = 0$ in the line, and a long one:\n\n{LONG_FORMULA}\n\n~~struck out~~ and "
    "*emphasised*.\n\n---\n\n#### A heading below a heading\n\nThat was all.",
]
ARABIC = "اكتب جملتين عن البحر، واذكر كلمة code مرة واحدة."
ARABIC_ANSWERS = [
    "البحر واسع وعميق، وفيه حياة كثيرة.\n\n"
    "- الموج يعلو ثم يهبط.\n- كلمة `code` تُقرأ من اليسار.\n\n> قال أحدهم: 12 موجة!",
    "هذه **جملة** واحدة. وهذه جملة ثانية عن البحر و code وعن السماء.\n\n```python\nprint('بحر')\n```",
]
EIGHT = "Name a fruit that keeps well in winter, and say how to store it."
EIGHT_ANSWERS = [
    "Apples: cool, dark, and not beside potatoes.",
    "**Quinces.** Lay them apart on paper in a cold room; they scent it until January.",
    "Pears, picked before they are ripe. Keep them just above 0 °C and bring a few into the kitchen at a time.",
    "Pomegranates keep for two months in a fridge.",
    "Oranges.",
    "Medlars, which are eaten when they have gone soft (bletted).",
    "Bananas, if you freeze them peeled.\n\n" + "They turn dark in the cold, but taste the same. " * 6,
    "Kiwis: hard ones last until spring; put one beside an apple when you want to eat it.",
]
GUIDELINES = """Choose the answer that you would **rather have been given**.

### What comes first

1. **Right before nice.** An answer that is wrong loses to a plain one that is right.
2. **What was asked.** If the prompt asks for one line, three pages are worse.
3. **Then** clear, kind and short.

Say *tie* when you would take either, and *both bad* when you would send neither. Skip what you cannot judge.
"""
