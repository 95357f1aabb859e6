/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JOBS_ENGINE_H
#define CERTAUTO_JOBS_ENGINE_H

/* What the files of jobs/ share and nobody else sees: the job's own struct, the loop, saved
 * records. */

#include <sys/types.h>

#include "jobs/job.h"

#define CERTAUTO__FACT_MAX (64 * 1024)
#define CERTAUTO__FACTS_MAX 256
#define CERTAUTO__GOTO_MAX 3
#define CERTAUTO__NOW_MAX 100
#define CERTAUTO__SOON_MAX 3
#define CERTAUTO__SOON_MS 250          /* doubled each time, with jitter */
#define CERTAUTO__SILENT_MAX 3         /* exchanges without an answer until a peer counts as dead */
#define CERTAUTO__SILENT_MS 60000      /* and for how long */
#define CERTAUTO__UNDO_MS 30000        /* what undoing gets beyond the deadline, if the table does
                                          not say */
#define CERTAUTO__FAREWELL_MS 5000     /* and what a peer is told at the end */
#define CERTAUTO__CHILDREN_PAR 8
/* What a command that is on its way to a socket, and a request that can be taken back, get to end
 * in after a cancel: a peer serves several connections at once, and the undo could overtake what
 * was only abandoned. */
#define CERTAUTO__LAST_WORDS_MS 2000
#define CERTAUTO__FORMER "~former" /* key of the child that settles a record of another identity */

/* ---- facts and undo records ---- */

struct certauto__fact {
	char *name, *value;
};

struct certauto__facts {
	struct certauto__fact *items;
	size_t n, size;
};

/* NULL removes */
int certauto__facts_set(struct certauto__facts *facts, const char *name, const char *value);
const char *certauto__facts_get(const struct certauto__facts *facts, const char *name);
void certauto__facts_free(struct certauto__facts *facts);

struct certauto__undo {
	size_t step;
	int index;
	int kept;      /* its undo failed: stays in the record */
};

/* ---- a record read back from the journal: a tree like that of the jobs ---- */

struct certauto__saved_undo {
	char *step;
	int index;
};

struct certauto__saved {
	char *table, *key;
	struct certauto__facts facts;
	struct certauto__saved_undo *undo;
	size_t n_undo;
	certauto__list owed;
	struct certauto__saved *children;   /* first of the list */
	struct certauto__saved *next;
};

void certauto__saved_free(struct certauto__saved *saved); /* and its siblings */
/* Takes the child with that table and key (key NULL: any) out of the list; NULL if there is
 * none. */
struct certauto__saved *certauto__saved_take(struct certauto__saved *parent, const char *table,
	const char *key);
/* Puts what that job has not taken back into the list, if there is anything; ENOMEM. */
int certauto__saved_keep(struct certauto__saved **list, certauto_job *job);

/* ---- the job ---- */

enum certauto__stage {
	CERTAUTO__STAGE_START,   /* waiting for the peer's turn, settling a former record */
	CERTAUTO__STAGE_ASK,
	CERTAUTO__STAGE_SEND,    /* asked, not sent yet: saving, waiting for a place or a session */
	CERTAUTO__STAGE_READ,    /* sent; the answer is here when the job is run again */
	CERTAUTO__STAGE_JOINED,  /* children were started; all have ended when the job is run
	                            again */
	CERTAUTO__STAGE_NEXT,    /* the step is through: a save that was asked for comes before the
	                            next one */
	CERTAUTO__STAGE_DONE
};

enum certauto__wait {
	CERTAUTO__WAIT_READY,    /* on the ready queue, or running */
	CERTAUTO__WAIT_SENT,
	CERTAUTO__WAIT_TIMER,
	CERTAUTO__WAIT_PARKED,
	CERTAUTO__WAIT_CHILDREN,
	CERTAUTO__WAIT_SAVING,
	CERTAUTO__WAIT_QUEUED,   /* its parent has `par` live children already */
	CERTAUTO__WAIT_HELD,
	CERTAUTO__WAIT_ENDED
};

enum certauto__undoing {
	CERTAUTO__UNDO_NOT,
	CERTAUTO__UNDO_ALL,      /* failed, released, settling */
	CERTAUTO__UNDO_ALWAYS    /* went well: ALWAYS records only */
};

struct certauto_job {
	struct certauto__object object;
	int64_t id;
	const struct certauto__table *table;
	char *name;                      /* for people; a child without one has NULL */
	char *key;
	void *env;
	void (*env_free)(void *env);
	certauto__peer *peer;
	unsigned flags;                  /* CERTAUTO__CHILD_* */
	int silent, planning, settling, resumed;
	int unread;                      /* what an earlier run left could not be taken over: it is
	                                    still whole in `saved` */
	size_t undoes_step;              /* started to undo that step of its parent, counted from
	                                    1; 0 = it does not */
	int undoes_index;

	certauto_job *parent;            /* alive as long as its children */
	certauto_job *first_child, *last_child, *next_sibling;
	int par, n_live, n_running, n_ended, n_started; /* live: not ended, not held; running: live
	                                                   and not in line */

	enum certauto__stage stage;
	enum certauto__wait wait;
	enum certauto__undoing undoing;
	size_t step;
	int index;
	int entered;                     /* the step was asked in this visit */
	int lost;                        /* an earlier attempt of it was sent and not answered
	                                    definitely, or was one request of several */
	int begun;                       /* this attempt was: a call may be at it for long */
	int64_t step_since, attempts;
	int n_now, n_soon, n_relogin, n_goto;
	int save_now;
	int64_t again_ms;
	int sticky;                      /* code of a failure inside a fact or buffer: fails the
	                                    step */
	int placeholder;

	certauto_job *next_ready;        /* ready queue, or a certauto__queue */
	certauto__queue *queue;
	certauto__queue *woken;          /* by which one, until it takes what it waited for */
	size_t heap_at;                  /* 1-based place among the timers; 0 = none */
	int64_t due_at, timer_at, deadline_at, undo_deadline_at; /* monotonic ms; 0 = none */

	struct certauto__facts facts;
	struct certauto__undo *undo;
	size_t n_undo, undo_size;
	certauto__list owed;             /* names of steps */
	struct certauto__saved *saved;   /* of an earlier run: children nobody has taken up, undo of
	                                    unknown steps */

	certauto__exchange x;
	int in_flight;                   /* holds a place at the peer */
	int has_turn;
	struct certauto__run *run;       /* exchange that runs: descriptors, process */

	certauto_error error;
	certauto_error reason;           /* why it is undone; error is then about the undoing */
	certauto_error owed_error;       /* why the last owed step failed */
	int rc;                          /* CERTAUTO_AGAIN while it runs */
	int stop;                        /* ECANCELED or ETIMEDOUT: to be acted on in the next
	                                    turn */
	int refused;                     /* stop comes from a queue: it fails this step, no more */
	int cancel;                      /* atomic: how often cancel was asked for */
	int cancel_base, cancel_seen;    /* of the context when it was started; acted on so far */
	int unwanted;                    /* 1: the host's callback has refused to go on with it; 2:
	                                    and that was acted on */
	int unsaved;                     /* its undo goes on though the record cannot be saved */
	int abandoned;
	int committed, changed, undo_failed;

	struct certauto__journal journal; /* where its own record goes; save NULL = in its parent's
	                                     record */
	char *journal_id, *identity;
	void *record_lock;               /* NULL: it is not locked */
	int dirty;
	int recorded;                    /* a record is on disk */
	int found;                       /* an earlier run has left one */
	int64_t sequence;

	void (*ended)(certauto_job *job, void *arg);
	void *ended_arg;
	certauto__list plan;
	certauto_job *next_root, *prev_root;
};

/* ---- the loop ---- */

struct certauto__loop {
	certauto_context *cx;
	int epoll_fd, timer_fd, event_fd;
	certauto__http *http;            /* made at the first request */
	int64_t http_at;                 /* 0 = no timer */
	int64_t armed_at;                /* what timer_fd is set to */
	certauto__queue ready;
	certauto__queue saving;
	certauto_job **heap;             /* 1-based binary heap by due_at */
	size_t heap_n, heap_size, n_jobs;
	certauto_job **watchers;         /* by descriptor */
	size_t n_watchers;
	certauto_job *roots;             /* one reference each */
	int n_active;                    /* roots that run and are not silent */
	int n_farewells;                 /* peers that are told something before the loop rests */
	int parted;                      /* that was begun, and no job has come since */
	int64_t *done;                   /* ids for next_done */
	size_t done_first, done_n, done_size;
	int64_t last_id;
	certauto__peer *peers;
	struct certauto__journal journal;
	int cancel_seen, job_cancels_seen;
	int unwanted;                    /* a callback has refused to go on with a job */
	int running;
};

struct certauto__loop *certauto__loop_of(const certauto_context *cx);
void certauto__loop_ready(certauto_job *job);               /* onto the ready queue */
void certauto__loop_timer(certauto_job *job);               /* what it waits for has changed */
int certauto__loop_reserve(struct certauto__loop *loop);    /* room for one more job; ENOMEM */
/* 0 = stop */
int certauto__loop_watch(struct certauto__loop *loop, certauto_job *job, int fd, int events);
int certauto__loop_http(struct certauto__loop *loop, certauto_error *err); /* makes loop->http */
void certauto__loop_done(struct certauto__loop *loop, int64_t id);
void certauto__loop_wake(struct certauto__loop *loop);      /* any thread, signal handlers */
int certauto__loop_adopt(struct certauto__loop *loop, certauto_job *root); /* ENOMEM */
void certauto__loop_forget(struct certauto__loop *loop, certauto_job *root);

/* ---- between the files of jobs/ ---- */

int certauto__job_new(certauto_job **out, certauto_context *cx, certauto_job *parent,
	const struct certauto__start *start, certauto_error *err);
void certauto__job_turn(certauto_job *job);                 /* runs it until it waits */
/* cancel or deadline: the job and all below it */
void certauto__job_stop(certauto_job *job, int code);
int64_t certauto__undo_ms(const certauto_job *job);         /* how long undoing may take */
/* ends at once, record kept, no network */
void certauto__job_abandon(certauto_job *job, int code);
void certauto__job_end(certauto_job *job);                  /* stage DONE reached */
void certauto__job_set_timer(certauto_job *job, int64_t after_ms);
void certauto__job_dirty(certauto_job *job);
certauto_job *certauto__job_root(const certauto_job *job);
/* nearest one up with a journal; NULL */
certauto_job *certauto__job_record(certauto_job *job);
int certauto__job_adopt_saved(certauto_job *job, struct certauto__saved *saved); /* takes saved */
int certauto__undo_push(certauto_job *job, size_t step, int index);
void certauto__undo_drop(certauto_job *job, size_t step, int index);
/* kept undo or owed steps in it or below */
int certauto__job_has_leftovers(const certauto_job *job);
void certauto__children_stop(certauto_job *job, int code);
void certauto__child_go(certauto_job *child);               /* out of the line of its siblings */
void certauto__child_ended(certauto_job *child);            /* tells its parent */
/* drops it from its parent and frees it */
void certauto__child_unlink(certauto_job *child);
/* makes the child take back what saved names; takes saved */
void certauto__child_settle(certauto_job *child, struct certauto__saved *saved);
/* revives all saved children to undo them */
size_t certauto__children_settle(certauto_job *job);
/* 1: one could not take back its part, or what was started for it */
int certauto__children_undo_failed(const certauto_job *job, certauto_error *err);

/* exchanges: start returns 0 when it runs (wait SENT), or x->rc is set at once and it has ended */
void certauto__exchange_reset(certauto__exchange *x);
void certauto__exchange_free(certauto__exchange *x);
void certauto__run_start(certauto_job *job);
void certauto__run_stop(certauto_job *job);                 /* aborts what runs; idempotent */
void certauto__run_ready(certauto_job *job, int fd, int events);
/* its timer is due: 1 if the exchange has ended by it */
int certauto__run_timed_out(certauto_job *job);

/* peers */
int certauto__peer_is_closed(certauto__peer *peer);
void certauto__peer_release(certauto_job *job);             /* gives its place back */
void certauto__peer_give_turn(certauto_job *job);
/* it will not take what it was woken for */
void certauto__peer_pass(certauto_job *job);
int certauto__peer_take_turn(certauto_job *job);            /* 1 = has it, 0 = parked */
void certauto__peer_heard(certauto_job *job);               /* after an exchange: silence counted */
certauto_job *certauto__queue_pop(certauto__queue *queue); /* NULL when it is empty */
void certauto__queue_remove(certauto_job *job);
/* There is no more work: what peers have to say is begun, once. Returns how many have. */
int certauto__peers_part(struct certauto__loop *loop);

/* journal */
/* saves the record of that job */
int certauto__journal_write(certauto_job *record, certauto_error *err);
/* Where others could have it as well. EBUSY */
int certauto__journal_lock(certauto_job *record, certauto_error *err);
void certauto__journal_unlock(certauto_job *record);
int certauto__journal_read(certauto_job *job, struct certauto__saved **saved, char **identity,
	certauto_error *err);
/* to a later run: it is part of the record */
int certauto__child_matters(const certauto_job *child);
int certauto__journal_remove(certauto_job *record, certauto_error *err);
int certauto__journal_parse(const void *data, size_t len, struct certauto__saved **saved,
	char **identity, int64_t *sequence, certauto_error *err);
int certauto__journal_format(certauto__buffer *out, certauto_job *record);

/* events */
void certauto__event_step(certauto_job *job);
int certauto__event_done(certauto_job *job);

#endif
