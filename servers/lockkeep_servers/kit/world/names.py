"""Words the made-up world is put together from."""

GIVEN = ("Amelie", "Ben", "Carla", "David", "Eva", "Farid", "Greta", "Hugo", "Ines", "Jakob", "Katja", "Liam", "Mia",
         "Noah", "Olga", "Pavel", "Rosa", "Sami", "Tove", "Umar", "Vera", "Wanda", "Xenia", "Yusuf", "Zoë")  # fmt: skip
FAMILY = ("Andersen", "Baker", "Costa", "Dubois", "Ekström", "Fischer", "García", "Hansen", "Ito", "Jansen", "Kowalski",
          "Lopez", "Meyer", "Novak", "O’Neill", "Peeters", "Rossi", "Schmidt", "Tanaka", "Virtanen", "Weiß")  # fmt: skip
FIRST = ("Alder", "Birch", "Cobalt", "Delta", "Ember", "Fjord", "Granite", "Harbour", "Iris", "Juniper", "Kestrel",
         "Lumen", "Meadow", "North", "Opal", "Pine", "Quarry", "River", "Silver", "Tidal", "Umbra", "Velvet",
         "Willow", "Yarrow", "Zephyr")  # fmt: skip
SECOND = {
    "logistics": ("Freight", "Logistics", "Haulage"),
    "software": ("Software", "Systems", "Data"),
    "retail": ("Stores", "Retail", "Outfitters"),
    "manufacturing": ("Works", "Tools", "Foundry"),
    "health": ("Clinics", "Health", "Labs"),
    "food": ("Foods", "Dairy", "Bakery"),
    "energy": ("Energy", "Solar", "Grid"),
}
SOURCES = ("web_form", "referral", "event", "partner", "outbound", "import")
TITLES = (
    "Introduction call", "Demo", "Contract review", "Pipeline review", "Follow-up", "Workshop",
    "Quarterly review",
)  # fmt: skip
