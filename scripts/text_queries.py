"""Queries as people type them, written by hand, to measure the text encoder; none is trained on.

Every line of `QUERIES` reads "class: queries for it".
"""

QUERIES = """
door knock: somebody knocking at the door; who's there knock knock; rapping on a wooden door
door slam: the door being slammed shut; angry slam of the front door
creaking door: that old squeaky hinge; a door that needs oil
doorbell: visitor rings at the front door; ding dong
rain: rain on a tin roof; it is pouring outside; drops pattering against the window
thunder: a rumble from the storm clouds; lightning strikes close by
wind: wind whistling through the trees; a gusty day; howling gale outside the cabin
sea waves: waves breaking on the shore; at the seaside
river: a small brook running over stones; the stream babbling
dripping water: leaky faucet in the bathroom; drops falling into a bucket
boiling water: kettle bubbling on the stove; pot of pasta cooking
fire: logs burning in the fireplace; a campfire crackling at night
dog bark: the neighbor's dog; puppy yapping; please remove the barking
cat: kitten crying for food; a purring tomcat
birds: songbirds at dawn; little birds twittering in the tree
rooster: cock-a-doodle-doo; a cockerel greets the morning
crow: a raven cawing
owl: hooting in the night
duck: ducks on a pond; quack quack
sheep: lambs bleating in a field
cow: cattle mooing on the meadow
horse: a galloping stallion; hooves on cobblestones
pig: oinking in the sty
frog: frogs croaking by the pond
insects: bugs buzzing around; crickets on a summer evening; a fly that won't go away
lion: a big cat roaring
monkey: chimps screeching in the jungle
wolf: howling at the moon
whale: the song of a humpback whale
monster: some scary beast growling; a zombie groaning
car engine: an automobile starting up; the motor idling; revving a V8
car horn: impatient driver honking; beep beep from a taxi
traffic: cars rushing by on the motorway; a busy street at rush hour
train: a steam locomotive going past; the railway crossing; subway arriving at the platform
airplane: a jet taking off; plane flying over the house
helicopter: chopper hovering overhead
motorcycle: biker accelerating away
boat: an outboard motor on the lake
bicycle bell: cyclist ringing the bell
police siren: cop car with its siren on; ambulance racing through town
alarm clock: the thing that wakes me up in the morning
fire alarm: smoke detector going off
church bells: bells tolling from the steeple
telephone ringing: an incoming call; phone going off in the middle of the talk
clock ticking: tick tock of the grandfather clock
footsteps: somebody walking on gravel; high heels on a marble floor; a person running upstairs
applause: the audience claps; a standing ovation
crowd cheering: fans celebrating a goal; roaring stadium
crowd chatter: people murmuring in a restaurant; babble at a cocktail party
children playing: kids in the schoolyard
baby crying: a newborn wailing; the infant is upset
laughter: somebody giggling; people cracking up at a joke
cough: someone clearing his throat; a sick man coughing
sneeze: achoo
snoring: my husband asleep and loud
breathing: heavy panting after a run
whistling: a man whistling a tune
scream: a woman shrieks in terror
male speech: the announcer; a gentleman talking; what the narrator says
female speech: a lady speaking; the woman's voice
whispering: someone talks under their breath
singing: the lead vocals; a tenor performing an aria
choir: a gospel group singing in church
keyboard typing: someone typing on a computer; clacking keys of a laptop
mouse click: clicking a button on the screen
vacuum cleaner: hoovering the carpet
washing machine: laundry spinning
drill: dentist at work; making holes in the wall
chainsaw: cutting down trees with a power tool
hammer: driving a nail into a board
sawing wood: a carpenter cutting planks
lawn mower: mowing the grass
glass breaking: a window gets smashed; shattered bottle
dishes: plates clattering in the sink; cutlery being put away
coins: small change jingling in a pocket
keys: a bunch of keys jangling
paper: turning the pages of a book; crumpling up a letter
zipper: closing a jacket
metal: steel pipes clanging together; sword against shield
wood cracking: a branch snaps
explosion: a bomb goes off; the building blows up
gunshot: somebody fires a pistol; a rifle being shot; shots in the distance
bow and arrow: an archer lets fly
fireworks: new year's eve rockets
punch: a fist hitting a face
whoosh: something flies past very quickly
laser: sci-fi blaster; a ray gun in a space battle
robot: an android talking
magic spell: a wizard casting something; sparkling fairy dust
user interface beep: the computer says error; notification pling of an app
static noise: a badly tuned radio; hiss of an old tape
vinyl record: crackle of an LP
music: the background music; everything that is not spoken, the tune; the soundtrack
piano: someone at the keys of a grand piano; pianist playing softly
acoustic guitar: strumming by the campfire; fingerpicked strings
electric guitar: a distorted rock solo
drums: the beat; the drummer; kick and snare
bass guitar: the low strings in the band
violin: a fiddler; bowed strings
trumpet: a brass solo; muted horn in a jazz club
flute: soft woodwind melody
organ: pipes in the cathedral
orchestra: a symphony by Beethoven; film score with strings and brass
techno music: rave beats in a club; four on the floor
hip hop: a rapper over a beat
jazz: a swinging trio
video game music: retro 8-bit tune; soundtrack of an old console game
ambient music: calm pads to fall asleep to
medieval music: minstrel at the king's court
eating: crunching on chips; somebody munches an apple
toilet flush: using the bathroom
spray can: graffiti artist at work
windmill: big sails turning in the wind
earthquake: the ground shakes
rocks falling: a landslide; stones tumbling down a slope
digging: a shovel in the dirt
snow: steps in deep snow; a blizzard
balloon: a balloon pops
camera: taking a photo; the shutter of a camera
heartbeat: my pulse in my ears
""".strip()

# Class names in other languages, to see whether the teacher, which is English, places them.
TRANSLATED = {
    "English": "a dog barking; rain; thunder; siren; birdsong; church bells; violin; "
    "a man speaking; footsteps; door knock; fire; cat; car horn; piano; applause; "
    "baby crying; wind; ocean waves; alarm clock; cow",
    "German": "Hund bellt; Regen; Donner; Sirene; Vogelgesang; Kirchenglocken; Geige; "
    "ein Mann spricht; Schritte; Klopfen an der Tür; Feuer; Katze; Autohupe; Klavier; Applaus; "
    "Baby weint; Wind; Meeresrauschen; Wecker; Kuh",
    "Spanish": "perro ladrando; lluvia; trueno; sirena; canto de pájaros; campanas de iglesia; "
    "violín; un hombre hablando; pasos; golpes en la puerta; fuego; gato; bocina; piano; aplausos; "
    "bebé llorando; viento; olas del mar; despertador; vaca",
}


def queries() -> list[tuple[str, str]]:
    """Return each query and the name of its class."""
    split = [line.split(": ", 1) for line in QUERIES.splitlines()]
    return [(query, name) for name, asked in split for query in asked.split("; ")]
