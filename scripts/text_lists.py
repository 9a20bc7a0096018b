"""What makes sounds and how, in lists of words.

Every line of `SOURCES` reads "names of a thing: what it does"; one that is indented goes on with
the line above. The other lists have a comma between their items.
"""

# Nouns that no sentence of the training set holds, to measure what the encoder makes of new words.
UNSEEN = """
walrus, ostrich, hyena, lynx, moose, otter, pheasant, magpie, toad, hornet, trombone, mandolin,
oboe, bassoon, didgeridoo, kazoo, zither, excavator, hovercraft, hairdryer, stapler, avalanche,
geyser, machete, metronome, hiccup, yodel, polka, typhoon, locomotive, chandelier, gavel,
hammock, turbine, gramophone, accordionist, falcon, sledgehammer, nightclub, kettledrum
""".strip()

SOURCES = """
dog, puppy, hound, big dog, small dog, guard dog: barking, growling, howling, whining, panting
dogs, pack of dogs: barking, howling, fighting
wolf, coyote, pack of wolves: howling, snarling, growling
cat, kitten, tomcat: meowing, purring, hissing, yowling, eating
lion, tiger, leopard, jaguar, panther, cheetah, big cat: roaring, growling, snarling, hissing
fox, raccoon, badger, beaver, skunk: screaming, chattering, chirping, calling
bear, polar bear: growling, roaring, grunting
gorilla, monkey, ape, chimpanzee, baboon: screeching, grunting, chattering, snarling, roaring
elephant: trumpeting, roaring, stomping
horse, pony, foal, donkey, mule, zebra: neighing, whinnying, snorting, galloping, trotting,
    braying
cow, cows, cattle, bull, calf, herd of cows: mooing, lowing, chewing
pig, pigs, piglet, boar, hog: grunting, squealing, oinking, snorting
sheep, lamb, goat, flock of sheep: bleating, baaing, grazing
camel, llama, giraffe, yak, buffalo, deer, antelope, rhino, hippo: grunting, humming, snorting
rabbit, hamster, guinea pig, mouse, rat, squirrel, bat: squeaking, chattering, scratching,
    fluttering
chicken, hen, chick, baby chickens: clucking, cackling, cheeping, pecking
rooster, cock: crowing, calling at dawn
duck, ducks, goose, geese, swan: quacking, honking, hissing, flapping wings
turkey, peacock, quail, partridge, grouse: gobbling, calling, clucking
bird, birds, songbird, small birds, flock of birds: singing, chirping, tweeting, flying away
sparrow, robin, blackbird, thrush, finch, canary, lark, nightingale, wren, swallow: singing,
    chirping
crow, raven, rook, jay: cawing, croaking, calling
owl: hooting, screeching, calling at night
pigeon, dove, cuckoo: cooing, calling, flapping wings
parrot, cockatoo, toucan, parakeet, budgie: squawking, talking, screeching, whistling
seagull, gull, seagulls, albatross, pelican, penguin: crying, squawking, screeching, calling
eagle, hawk, vulture, kite, bird of prey: screeching, crying, soaring
woodpecker: pecking, drumming, tapping on a tree
loon, heron, crane, stork, flamingo, kookaburra: calling, wailing, laughing
frog, frogs, bullfrog: croaking, ribbiting
snake, cobra, rattlesnake, python: hissing, rattling
crocodile, alligator, lizard, turtle: hissing, growling, snapping
whale, dolphin, orca, seal, sea lion: singing, clicking, chirping, barking, calling
fish, squid, octopus, jellyfish, crab: flopping, splashing, swimming
cricket, crickets, grasshopper, locust: chirping
cicada, cicadas: buzzing, chirping, droning
bee, bees, bumblebee, wasp, fly, mosquito, swarm of insects, beetle, moth: buzzing, humming,
    flying
spider, ant, insect, insects, cockroach, worm: crawling, hissing, scuttling
monster, creature, beast, zombie, demon, ghost, alien, dragon, vampire, troll, orc: growling,
    roaring
monster, dinosaur, dragon, giant, goblin, skeleton, slime, golem: screaming, attacking,
    dying, snarling
rain, light rain, heavy rain, drizzle, downpour, rainfall, shower of rain: falling, pouring,
    pattering
rainstorm, thunderstorm, storm, tempest: raging, approaching, passing
thunder, thunderclap, lightning strike, lightning: rumbling, cracking, rolling, striking
wind, breeze, gust of wind, strong wind, gale, hurricane, tornado: blowing, howling, whistling
snow, snowstorm, blizzard, hail, sleet, ice: falling, cracking, melting
weather, cloudy weather, sunny day, summer night, spring morning, autumn forest, winter: passing
water, stream, river, brook, creek: flowing, babbling, trickling, splashing, gurgling
waterfall, rapids, fountain: roaring, splashing
sea, ocean, waves, surf, sea waves, tide: crashing, lapping, rolling, washing ashore
water drop, drop of water, dripping tap, leak, drip: dripping, falling, splashing
bubbles, boiling water, pot of water, soup: bubbling, boiling, simmering
tap, faucet, sink, bathtub, shower, toilet, drain, pipe: running, filling, draining,
    flushing, gurgling
swimmer, diver, swimming pool, submarine: swimming, diving, splashing
fire, campfire, bonfire, fireplace, flames, wildfire, torch: crackling, burning, roaring
lava, volcano, magma: bubbling, erupting, flowing
match, lighter, fuse, candle, furnace, stove, burner: lighting, igniting, hissing, burning,
    sizzling
steam, gas, air, valve, smoke: hissing, leaking, escaping
earthquake, landslide, rockfall, falling rocks, boulder: rumbling, shaking, rolling, crashing
forest, jungle, swamp, meadow, mountain, cave, desert, nature, countryside: at night, in summer
tree, branch, leaves, bush, grass, twig: creaking, falling, rustling, snapping, swaying
car, automobile, vehicle, sports car, taxi, old car: passing by, starting, idling, accelerating
car, truck, bus, van, motorbike: honking, braking, skidding, crashing, reversing, driving away
truck, lorry, bus, van, tractor, bulldozer, garbage truck, tank: driving, rumbling, idling,
    beeping
motorcycle, motorbike, moped, scooter, quad bike: revving, idling, speeding past
engine, motor, car engine, diesel engine, steam engine, v8 engine: running, starting,
    stopping, idling
car horn, truck horn, horn, bicycle horn, air horn, foghorn, ship horn, train horn: honking,
    blaring
train, subway, freight train, steam train, tram, railway: passing, arriving, whistling,
    clattering
airplane, plane, aircraft, jet, jet engine, propeller plane, fighter jet: taking off,
    landing, flying over
helicopter, drone, rotor, propeller: hovering, flying over, spinning
boat, motorboat, ship, ferry, sailboat, rowing boat, yacht: sailing, creaking, passing, rowing
bicycle, bike, skateboard, roller skates, wheelchair, cart, wagon, carriage: rolling, squeaking
bicycle bell, bicycle chain, spokes, tires, wheels, gears: ringing, clicking, screeching,
    turning
traffic, road, highway, street, motorway, rush hour, traffic jam: roaring, passing, honking
ambulance, police car, fire engine, fire truck, emergency vehicle: wailing, passing by,
    rushing past
siren, sirens, police siren, ambulance siren, air raid siren, civil defense siren: wailing,
    blaring
alarm, alarm clock, fire alarm, smoke detector, car alarm, burglar alarm: ringing, beeping,
    going off
bell, church bell, church bells, hand bell, school bell, cow bell, ship's bell: ringing,
    tolling, chiming
doorbell, door bell, buzzer, intercom: ringing, buzzing, chiming
telephone, phone, mobile phone, cell phone, smartphone: ringing, vibrating, buzzing, dialing
clock, grandfather clock, watch, stopwatch, timer, cuckoo clock: ticking, chiming, striking
wind chimes, chimes, jingle bells, sleigh bells, keys, coins, cash, chains: jingling,
    ringing, clinking
machine, machinery, factory, assembly line, conveyor belt, robot arm: running, humming, clanking
drill, electric drill, power drill, jackhammer, pneumatic hammer: drilling, pounding, buzzing
saw, chainsaw, circular saw, hand saw, hacksaw, sawmill: sawing, cutting, buzzing
hammer, nail, anvil, blacksmith, smith, pickaxe, crowbar: hammering, striking, pounding,
    clanging
axe, hatchet, lumberjack, wood: chopping, splitting, cracking, creaking
screwdriver, wrench, tool, tools, shears, scissors, file, sander, grinder: cutting, scraping,
    grinding
shovel, spade, pick: digging, scraping, hitting gravel
lawn mower, lawnmower, leaf blower, hedge trimmer, generator, compressor, pump: running,
    starting
vacuum cleaner, hoover, washing machine, dryer, dishwasher, blender, mixer: running,
    whirring, spinning
microwave, oven, toaster, coffee machine, kettle, refrigerator, fridge: humming, beeping,
    whistling, popping
fan, air conditioner, ventilator, electric fan, heater, radiator, boiler: humming, whirring,
    blowing
hair dryer, electric toothbrush, electric shaver, razor: buzzing, humming, whirring
printer, scanner, photocopier, fax machine, computer, hard disk, server room: printing,
    humming, beeping
keyboard, typewriter, computer mouse, mouse, pen, pencil, chalk: typing, clicking, writing,
    scratching
paper, newspaper, book, page, cardboard, envelope, plastic bag, wrapper: rustling, tearing,
    crumpling, turning
cloth, clothes, jacket, fabric, curtain, flag, leather, zipper, velcro: rustling, tearing,
    flapping, zipping
door, wooden door, metal door, car door, garage door, cellar door, gate, trapdoor: opening,
    closing, slamming
door, hinge, floorboard, stairs, chair, bed, old house: creaking, squeaking, groaning
door, window, wall, table: being knocked, being hit, shaking, rattling
window, drawer, cupboard, cabinet, chest, box, lid, barrel, suitcase: opening, closing, rattling
lock, key, bolt, latch, padlock, handcuffs, safe: clicking, locking, unlocking, turning
glass, bottle, wine glass, window pane, mirror, vase, crystal: breaking, shattering,
    clinking, smashing
dishes, plates, cutlery, cup, pan, pot, silverware, knife, fork, spoon: clattering, clinking,
    rattling
cork, champagne bottle, can, beer can, soda: popping, opening, fizzing, pouring
food, apple, chips, bread, meat, egg, popcorn: frying, crunching, cracking, sizzling,
    being chewed
metal, metal pipe, iron, steel, sheet metal, chain, armor, shield, sword: clanging, scraping,
    hitting
wood, plank, wooden box, log, stick, bamboo: breaking, knocking, cracking, falling
stone, rock, gravel, brick, concrete, sand, dirt, mud, pebbles: falling, crunching,
    crumbling, rolling
plastic, rubber, balloon, ball, basketball, tennis ball, toy, squeaky toy: bouncing, popping,
    squeaking
impact, hit, punch, slap, thud, bump, bang, crash, smash, body fall, heavy object: hitting,
    landing
footsteps, steps, walking, running feet, high heels, boots, barefoot steps: approaching,
    passing, echoing
gun, gunshot, gunshots, pistol, revolver, handgun: firing, shooting, being reloaded
rifle, shotgun, machine gun, sniper rifle, assault rifle, automatic rifle: firing, being cocked
bullet, ricochet, shell casing, ammunition, magazine: whizzing past, dropping, hitting
bow, arrow, crossbow, catapult, spear, bow and arrow: shooting, hitting a target, being drawn
explosion, bomb, dynamite, grenade, blast, cannon, missile, rocket, land mine: exploding,
    booming
fireworks, firecracker, rockets: exploding, popping, whistling, crackling
battle, war, gunfire, fight, sword fight, battlefield: raging
whoosh, swish, swoosh, whip, swing, flyby: passing, cracking
laser, laser gun, ray gun, plasma shot, force field, lightsaber, energy weapon: firing,
    humming, zapping
spaceship, starship, ufo, time machine, rocket ship, teleporter, portal: taking off, humming,
    warping
robot, android, computer voice, cyborg, droid: talking, beeping, moving, glitching
magic, magic spell, wizard, fairy, potion, enchantment, fireball: casting, sparkling, shimmering
button, switch, toggle, slider, menu, notification, pop-up: clicking, beeping, selecting,
    confirming
beep, bleep, click, blip, ping, ding, buzz, pop, error tone, dial tone: sounding, repeating
video game, arcade machine, slot machine, pinball, cash register: beeping, ringing, jingling
computer game, level up, coin, power up, game over: chiming, sounding
radio, television, tv, loudspeaker, static, white noise, record player, vinyl record:
    playing, crackling
vinyl, tape, cassette, turntable: scratching, hissing, rewinding, crackling
electricity, power line, transformer, spark, tesla coil, neon light: humming, crackling,
    buzzing, sparking
camera, shutter, typewriter, stapler, stamp: clicking, snapping
noise, background noise, hum, hiss, mains hum, room tone, rumble, pink noise: humming, hissing
crowd, people, audience, group of people, spectators, fans: cheering, clapping, talking,
    booing, shouting
audience, applause, ovation, stadium, football stadium: applauding, cheering, clapping, laughing
restaurant, cafe, coffee shop, bar, pub, canteen, party, market, square: chattering, busy
office, school, classroom, playground, hospital, airport, station, shopping mall, church:
    busy, echoing
city, town, village, harbor, farm, circus, zoo, construction site, kitchen, warehouse:
    bustling, busy
man, old man, young man, guy, father: speaking, talking, shouting, laughing, coughing, singing
woman, old woman, young woman, lady, mother: speaking, talking, screaming, laughing, crying,
    singing
child, boy, girl, kid, children, kids, teenager: talking, playing, laughing, yelling,
    singing, screaming
baby, infant, toddler: crying, laughing, babbling, giggling, cooing
person, someone, somebody, people, human: breathing, snoring, coughing, sneezing, whistling,
    humming
person, someone: eating, chewing, drinking, swallowing, burping, gulping, sniffing, vomiting,
    farting
person, someone: clapping, snapping fingers, knocking at the door, running, jumping, falling,
    sighing
heart, heartbeat, stomach, bones, teeth, lungs: beating, rumbling, cracking, grinding
narrator, announcer, newsreader, reporter, presenter, commentator, host: speaking, reading,
    announcing
teacher, politician, priest, actor, storyteller, lecturer, salesman: speaking, talking,
    preaching
voice, male voice, female voice, voices, voice over, human voice, deep voice: speaking,
    whispering
speech, dialogue, conversation, talk, interview, lecture, phone call, podcast: going on
whisper, scream, shout, laugh, laughter, cough, sneeze, yawn, gasp, groan, moan, sob: sounding
""".strip()

INSTRUMENTS = """
piano, grand piano, electric piano, keyboard, organ, church organ, harpsichord, accordion,
synthesizer, synth pad, synth lead, guitar, acoustic guitar, electric guitar, distorted guitar,
bass, bass guitar, double bass, slap bass, ukulele, banjo, lute, harp, violin, fiddle, viola,
cello, string quartet, strings, string section, flute, recorder, piccolo, pan flute, clarinet,
saxophone, trumpet, french horn, tuba, brass section, horns, woodwinds, bagpipes, harmonica,
drums, drum kit, kick drum, bass drum, snare drum, hi-hat, cymbal, crash cymbal, tom, drum
machine, drum loop, breakbeat, percussion, bongos, congas, tabla, djembe, tambourine, maracas,
shaker, cowbell, castanets, triangle, timpani, gong, glockenspiel, xylophone, marimba,
vibraphone, steel drum, music box, celesta, sitar, koto, orchestra, symphony orchestra, chamber
orchestra, marching band, brass band, rock band, jazz band, big band, choir, theremin,
turntables, sampler, lyre, kalimba, tubular bells, whistle, bugle, vocoder
""".strip()

GENRES = """
rock, hard rock, punk, heavy metal, pop, jazz, blues, soul, funk, disco, hip hop, rap, trap,
reggae, ska, country, folk, bluegrass, celtic, irish, latin, salsa, samba, bossa nova, tango,
bolero, flamenco, waltz, classical, baroque, romantic, opera, choral, gospel, ambient, drone,
electronic, techno, house, trance, dubstep, drum and bass, industrial, breakbeat, lo-fi,
chillout, new age, synthwave, chiptune, 8-bit, video game, arcade, film, cinematic, soundtrack,
orchestral, epic, medieval, fantasy, role playing game, christmas, wedding, military, march,
ragtime, swing, bebop, lounge, elevator, easy listening, indie, grunge, acoustic, instrumental,
a cappella, experimental, world, african, arabic, indian, chinese, japanese, spanish, balkan,
klezmer, dance, background, menu, battle, children's, horror, meditation, relaxing
""".strip()

MOODS = """
happy, sad, melancholic, calm, peaceful, relaxing, energetic, aggressive, dark, bright,
dramatic, epic, romantic, mysterious, scary, tense, funny, playful, dreamy, gloomy, uplifting,
slow, fast, upbeat, soft, loud, quiet, gentle, angry, nostalgic, eerie, triumphant, lively
""".strip()

LANGUAGES = """
English, German, French, Spanish, Italian, Portuguese, Dutch, Russian, Polish, Chinese,
Japanese, Korean, Arabic, Hindi, Turkish, Swedish, Greek, Hebrew, foreign, British English,
American English
""".strip()

SPEAKERS = """
man, woman, male voice, female voice, child, boy, girl, old man, old woman, narrator, announcer,
person, male speaker, female speaker, elderly man, young woman, teenager, men, women, several
people, two people, couple, speaker, voice
""".strip()

SPEAKING = """
speaking, talking, reading aloud, whispering, shouting, giving a speech, having a conversation,
arguing, reading a story, talking on the phone, reading the news, mumbling, yelling, laughing,
singing, rapping, humming, chanting, counting, praying
""".strip()

SINGERS = """
man, woman, male singer, female singer, child, choir, children's choir, opera singer, soprano,
tenor, baritone, rapper, lead singer, backing vocals, vocals, vocalist, singer, boy, girl,
singing voice, vocal harmony, crowd, beatboxer
""".strip()

MATERIALS = """
wood, gravel, snow, sand, grass, concrete, stone, metal, mud, leaves, carpet, ice, tiles, water,
stairs, glass, dirt, a wooden floor, wet ground, dry leaves, a tin roof, a window, a hard floor,
pavement
""".strip()

PLACES = """
in the background, in the distance, nearby, far away, outside, indoors, in a room, in a forest,
in the street, at night, in the rain, in a big hall, in a church, in the kitchen, in a cave,
under water, on the radio, through a wall, behind a door, at the beach, in a city, on a farm,
close up, on the left, in the morning, in front of the microphone, in a tunnel, over music, in a
crowd, at a party, in a car, in space, upstairs, next door, in the garden, on the phone, in the
park, in a factory, in the woods, at sea
""".strip()

QUALITIES = """
distant, loud, quiet, muffled, soft, deep, high-pitched, low, sudden, constant, faint, short,
long, repeated, sharp, dull, heavy, light, slow, fast, angry, gentle, strange, metallic, wooden,
wet, echoing, noisy, single, big, small, old, electronic, intermittent, rhythmic, scary,
continuous, weak, hollow, squeaky
""".strip()

COUNTS = "two, three, several, many, some, a few, a lot of, a group of"
