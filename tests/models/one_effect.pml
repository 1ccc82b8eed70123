/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One effect: submit, claim and commit, small enough that every order of every step can be tried.
 *
 * The steps are those that gate/slidegate_gate/serve/journal.py names, and those of a member (runner/main.py,
 * runner/attempt.py). A file that is created exclusively is a variable that is set once, in one step. Between
 * two steps anything else may happen, and after each a death, as long as FAULTS are left. What nobody else could
 * tell from one step is written as one.
 *
 *   clients      two: two servers with one key, or a server and one that was restored from an old backup and
 *                packs the same Attempt into another Submission. Each repeats its request until it knows the end
 *   gates        one for each request; one that dies leaves what it has done, and the kernel drops its lock
 *   scheduler    accepts; fails before; fails after it has accepted; lets an array come up when it likes;
 *                does not answer; has forgotten arrays that ended; says "ended" of what has not come up yet
 *   members      MEMBERS for each array. Leases only save work, so here are none: everybody computes
 *   cancel       at any time, or never; also before anything was submitted
 *
 * Wrong is: a second effect; an answer that another one contradicts; a member that computes beside the array
 * that has the claim, or for a Submission that does not own the Attempt; and an end without an effect.
 * To see that the model would notice, one precaution at a time can be left out: -DWITHOUT_CLAIM, _OWNER, _LINK
 * (the exclusive creation of the result). Without _LOCK and without _FIND, the question to the scheduler before
 * a repeat, there is still one effect: those two only save arrays.
 *
 * Not here: contents, limits, disks, several Units, classes and Attempts. The state machine beside this file
 * drives the real code through those.
 */

#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef MEMBERS
#define MEMBERS 1
#endif
#define ROUNDS (FAULTS + 1)
#define ARRAYS (2 * ROUNDS + FAULTS) /* as many as can ever be started */
#define NONE 0
#define CANCELLED 255

/* files below state/ ; 0 means that there is no such file */
bool intent[2 * ROUNDS];
byte receipt[2 * ROUNDS]; /* of a crew: a Submission and a round */
byte claim[2 * ROUNDS];
byte owner;
byte done;   /* the one try that counts: the member that computed it */
byte result; /* what became of the Attempt: `done`, or CANCELLED */
bool locked; /* the lock of the key */

/* the scheduler; array 0 stands for none */
mtype = { absent, accepted, listed, ended }
mtype array[ARRAYS + 1] = absent;
byte crew_of[ARRAYS + 1] = 255;
byte working[ARRAYS + 1]; /* members that live */
byte arrays;

byte faults = FAULTS;
byte told; /* what the first client was told */

#define CREW(s, r) (((s) - 1) * ROUNDS + (r) - 1)
#define OWNS(crew) (owner == 1 + (crew) / ROUNDS)
#define ARRAY_OF(crew) (claim[crew] != NONE -> claim[crew] : receipt[crew])
#define SAID_ENDED(a) ((a) != NONE && array[a] != listed)
#define may_die(where) if :: faults > 0 -> faults--; goto where :: true fi

inline create(file, value) {
  if :: file == NONE -> file = value :: else fi
}

inline create_result(value) {
#ifdef WITHOUT_LINK
  result = value
#else
  create(result, value)
#endif
}

inline tell() {
  assert(told == NONE || told == result);
  told = result
}

/* Member number `me` of array `me % ARRAYS + 1`: comes up, claims, computes, commits. */
active [MEMBERS * ARRAYS] proctype Member() {
  byte me = _pid + 1, a = _pid % ARRAYS + 1, value;
end:
  atomic {
    if
    :: array[a] == accepted -> array[a] = listed; working[a] = MEMBERS
    :: MEMBERS > 1 && array[a] == listed
    fi;
    may_die(leave)
  }
  atomic {
#ifndef WITHOUT_CLAIM
    create(claim[crew_of[a]], a);
    if :: claim[crew_of[a]] != a -> goto leave :: else fi;
#endif
    if :: !OWNS(crew_of[a]) || result != NONE -> goto leave :: else fi;
    may_die(leave)
  }
  atomic { /* it computes */
    create(claim[crew_of[a]], a);
    assert(claim[crew_of[a]] == a && OWNS(crew_of[a]));
    create(done, me);
    value = done;
    may_die(leave)
  }
#ifdef WITHOUT_LINK
  value = me;
#endif
  atomic {
    create_result(value);
leave:
    value = 0;
    working[a]--;
    if :: working[a] == 0 -> array[a] = ended :: else fi
  }
}

/* The first array of the crew's name that the scheduler shows: those that live, and those that ended or not. */
inline find() {
  if :: remembers = true :: remembers = false fi;
  a = 1;
  do
  :: a > ARRAYS -> a = NONE; break
  :: a <= ARRAYS && crew_of[a] == crew && (array[a] == listed || (remembers && array[a] == ended)) -> break
  :: else -> a++
  od;
  remembers = false
}

mtype = { answered, lost, early }

/* submit; ends at `killed` with what the client gets in `answer`. */
inline submit(s, r) {
  atomic {
#ifndef WITHOUT_LOCK
    !locked -> locked = true;
#endif
    answer = lost;
    crew = CREW(s, r);
    may_die(killed); /* 1, 2: all is well; plan.json */
    free = result == NONE
  }
  atomic { /* 3: owner.json */
#ifdef WITHOUT_OWNER
    owner = s;
#else
    if :: free && owner == NONE -> owner = s :: else fi;
#endif
    may_die(killed)
  }
  atomic {
    begun = intent[crew];
    if
    :: begun
    :: !begun && (owner != s || result != NONE) -> answer = answered; goto killed /* nothing to start */
    :: !begun && owner == s && result == NONE ->
      if
      :: r > 1 && !SAID_ENDED(ARRAY_OF(crew - 1)) -> answer = early; goto killed
      :: else -> intent[crew] = true /* 4: intent */
      fi
    fi;
    may_die(killed)
  }
  atomic {
    if
    :: ARRAY_OF(crew) != NONE -> answer = answered; goto killed
    :: else
    fi;
    a = NONE;
#ifndef WITHOUT_FIND
    if
    :: begun -> may_die(killed); find() /* or it cannot be told, and the question stays open */
    :: else
    fi
#endif
  }
  atomic {
    if
    :: a != NONE /* adopted */
    :: else -> /* 5: the scheduler */
      may_die(killed); /* it failed before */
      assert(arrays < ARRAYS);
      arrays++;
      a = arrays;
      crew_of[a] = crew;
      array[a] = accepted
    fi;
    may_die(killed) /* it failed after, or the gate died */
  }
  atomic { /* 6: receipt */
    create(receipt[crew], a);
    may_die(killed);
    answer = answered;
killed:
    a = NONE;
    free = false;
    begun = false;
    locked = false
  }
}

/* A client asks for another round where the crew is said to have ended and there is no result. */
proctype Client(byte s) {
  byte round = 1, a, crew;
  bool free, begun, remembers;
  mtype answer;
again:
  submit(s, round);
  atomic {
    if
    :: answer == lost -> goto again
    :: answer == early -> round--
    :: else
    fi;
    crew = CREW(s, round)
  }
  atomic {
    if
    :: result != NONE -> tell()
    :: round < ROUNDS && result == NONE && owner == s && SAID_ENDED(ARRAY_OF(crew)) -> round++; goto again
    fi
  }
}

proctype Canceller() {
  atomic { create_result(CANCELLED); tell() }
}

init {
  atomic {
    run Client(1);
    if :: run Client(1) :: run Client(2) fi;
    if :: run Canceller() :: true fi
  }
}
