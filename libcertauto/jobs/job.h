/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JOBS_JOB_H
#define CERTAUTO_JOBS_JOB_H

/* The step runner: what a protocol is written in.
 *
 * A conversation (an ACME order, a deployment) is a constant table of steps. A job is one run of a
 * table; all its mutable state is here. What is learned goes into named facts: facts, not the
 * position, say what is done, and a restart runs the table from the top. A step is one exchange:
 *
 *	ask	fills the exchange and says SEND; or NEXT (nothing to do), JOIN (children were
 *		started), AGAIN after some ms, PARK on a queue, FAIL
 *	read	takes the answer and says NEXT, AGAIN (the same ask again), GOTO (back) or FAIL
 *	undo	where present, takes the step back: SEND, JOIN or NEXT
 *
 * The undo record of a step goes on the job's stack, and into the saved journal, before its request
 * leaves: the effect may exist although no answer came. After a failure the stack is undone in
 * reverse. Never count on a request being sent at most once: each step is repeat-safe by content.
 * No step waits and none keeps anything in C variables between calls. */

#include <stddef.h>
#include <stdint.h>

#include <certauto/job.h>

#include "core/buffer.h"
#include "core/context.h"
#include "core/object.h"
#include "core/text.h"
#include "dns/dns.h"
#include "http/http.h"

typedef enum certauto__verdict {
	CERTAUTO__SEND,
	CERTAUTO__NEXT,
	CERTAUTO__JOIN,
	CERTAUTO__WAIT_AGAIN,   /* by certauto__again() */
	CERTAUTO__PARKED,       /* by certauto__park() */
	CERTAUTO__GONE,         /* by certauto__goto() */
	CERTAUTO__FAILED        /* by certauto__fail() */
} certauto__verdict;

/* ---- exchanges ---- */

enum certauto__exchange_kind {
	CERTAUTO__X_NONE,
	CERTAUTO__X_HTTP,   /* one request, one answer */
	CERTAUTO__X_PROBE,  /* TLS handshake: certificate seen. This and a SELFCHECK need no peer,
	                       are not retried, and read always sees how they ended: x->rc,
	                       x->error */
	CERTAUTO__X_UNIX,   /* stream socket: write all, read to the end */
	CERTAUTO__X_PROC,   /* program by argv, no shell: output and exit status */
	CERTAUTO__X_CALL    /* a resumable function: called until it does not answer
	                       CERTAUTO_AGAIN */
};

typedef struct certauto__exchange certauto__exchange;
typedef int (*certauto__call_fn)(certauto_job *job, certauto__exchange *x);

struct certauto__exchange {
	enum certauto__exchange_kind kind;

	/* the question: filled by ask, completed by dress (which runs for every attempt) */
	enum certauto__http_kind http;
	const char *method;              /* static */
	certauto__buffer url;            /* UNIX: path of the socket */
	certauto__buffer body;           /* what is sent; PROC: standard input */
	certauto__list headers;          /* "Name: value" */
	certauto__list argv;             /* PROC */
	certauto__list environment;      /* PROC: "NAME=value", nothing else is passed on but
	                                    PATH */
	const char *connect_to;          /* these four are borrowed until the exchange has ended */
	const char *ca_file;
	const char *pin;
	const char *probe_key;
	int insecure;
	size_t max_answer;               /* 0 = 256 KiB */
	int keep_apart;                  /* PROC: standard error goes to errors, not to answer */
	int64_t timeout_ms;              /* 0 = 60 s; PROC 300 s */
	certauto__call_fn call;          /* CALL: 0, CERTAUTO_AGAIN after setting again_ms or
	                                    wait_fd, negative after setting error */
	int64_t again_ms;
	int wait_fd, wait_events;        /* CALL: or until this descriptor is ready
	                                    (CERTAUTO__HTTP_IN | OUT); -1 */
	certauto__dns *dns;              /* CALL: the questions it asks, and their answers; NULL or
	                                    owned, freed with the exchange */
	const void *dress_arg;           /* free for the peer's dress; borrowed until the exchange
	                                    has ended */
	certauto__buffer *scratch;       /* free for the peer's dress and judge: the payload to
	                                    sign; NULL or owned, freed with the exchange */

	/* the answer */
	int rc;                          /* 0: an answer came; else why not (detail in error) */
	certauto_error error;
	int status;                      /* HTTP status; PROC: exit status, 128 + signal */
	certauto__transfer *transfer;    /* HTTP, PROBE: headers, leaf */
	certauto__buffer answer;         /* UNIX, PROC: what came back; HTTP: use
	                                    certauto__exchange_answer() */
	certauto__buffer errors;         /* PROC, with keep_apart */
};

/* Fill the exchange; the URL or path is copied. Sticky: lack of memory fails the job by itself. */
certauto__verdict certauto__ask_http(certauto__exchange *x, const char *method, const char *url);
/* then add to x->body */
certauto__verdict certauto__ask_unix(certauto__exchange *x, const char *path);
/* then add to x->argv */
certauto__verdict certauto__ask_proc(certauto__exchange *x);
/* Handshake with SNI name at host:port ("[::1]:443" for IPv6); key "ecdsa", "rsa" or NULL. */
certauto__verdict certauto__ask_probe(certauto__exchange *x, const char *name, const char *address,
	const char *key);
certauto__verdict certauto__ask_call(certauto__exchange *x, certauto__call_fn call);
void certauto__exchange_add_header(certauto__exchange *x, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The body that came back, whatever the kind. Borrowed; "" when there is none. */
const char *certauto__exchange_answer(const certauto__exchange *x, size_t *len);

/* ---- steps and tables ---- */

typedef certauto__verdict (*certauto__step_fn)(certauto_job *job, certauto__exchange *x);

enum {
	CERTAUTO__READS = 1,   /* changes nothing: plan may run it; the journal is not saved for
	                          it */
	CERTAUTO__ALWAYS = 2,  /* its undo runs at the end whatever the outcome: challenge answers,
	                          locks */
	CERTAUTO__COMMIT = 4,  /* on entry the undo stack except ALWAYS is dropped: no way back */
	CERTAUTO__OWED = 8,    /* its failure is not the job's: the step stays in the record as
	                          owed */
	CERTAUTO__ERRORS = 16, /* read wants refusals (BAD) too; x->status tells, unless x->rc
	                          does: it could not be sent, or the answer is not whole */
	CERTAUTO__HALVES = 64, /* may have done half of its work when it fails: is undone also if it
	                          was refused. A program, a function of somebody else's */
	CERTAUTO__ANYHOW = 32  /* read sees every end, after the usual attempts, also that it could
	                          not be sent: x->rc, x->status, x->error. For what is worth a
	                          try, no more */
};

struct certauto__step {
	const char *name;
	certauto__step_fn ask, read, undo;   /* read NULL: any accepted answer is NEXT; undo NULL:
	                                        nothing to take back */
	unsigned flags;
	const int *accept;                   /* HTTP statuses besides 2xx that are answers,
	                                        0-terminated */
	const int *undo_accept;              /* the same for undo: "it is gone already" */
	int (*each)(certauto_job *job);      /* how often the step runs; certauto__index() tells
	                                        which one. NULL = once */
	/* Takes what came of undo, however that ended (x->rc, x->status, how its children fared):
	 * NEXT = it is taken back, AGAIN = undo is asked again, FAIL = it could not be. NULL: it is
	 * taken back if the peer, and all the children, say so. */
	certauto__step_fn undo_read;
};

typedef struct certauto__peer certauto__peer;

enum {
	/* The facts of an ended child stay in the record until it is dropped: an order. */
	CERTAUTO__TABLE_KEEP = 1
};

struct certauto__table {
	const char *name;                    /* in journals: never changed once released */
	const struct certauto__step *steps;
	size_t n_steps;
	unsigned flags;
	/* The children a saved record of this table names: which table, and what they hang on (env
	 * of the child, as certauto__child_start() was given). Needed where undo must be possible
	 * without running the table again. NULL = children need nothing of their own. */
	int (*revive)(certauto_job *job, const char *table, const char *key,
		const struct certauto__table **table_out, void **env_out,
		certauto__peer **peer_out);
	/* Called once when a job has failed, before anything is taken back: what is to be kept of
	 * the error becomes facts, what is known besides is added to it. NULL = nothing. */
	void (*failed)(certauto_job *job, certauto_error *error);
	/* How long taking back may take, and with it that of its parents; 0 = half a minute. */
	int64_t undo_ms;
};

/* What a step says when it is not simply NEXT or SEND: */
certauto__verdict certauto__again(certauto_job *job, int64_t after_ms);
/* back only, at most 3 times a job; clear the facts that would skip the way */
certauto__verdict certauto__goto(certauto_job *job, const char *step);
certauto__verdict certauto__fail(certauto_job *job, int code, const char *object,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* moves the error */
certauto__verdict certauto__fail_with(certauto_job *job, certauto_error *error);
/* to be filled by calls that take an error; then return CERTAUTO__FAILED */
certauto_error *certauto__job_error_of(certauto_job *job);

/* ---- jobs, seen from a step ---- */

/* what it hangs on, given at the start */
void *certauto__job_env(const certauto_job *job);
/* what it is a run of: tells what env is, where several tables share a function */
const struct certauto__table *certauto__job_table(const certauto_job *job);
certauto_context *certauto__job_cx(const certauto_job *job);
certauto_job *certauto__job_parent(const certauto_job *job); /* NULL for a root */
/* its key among its siblings; a root: its name */
const char *certauto__job_key(const certauto_job *job);
int certauto__index(const certauto_job *job);              /* in a step with `each` */
int certauto__planning(const certauto_job *job);           /* 1: nothing may be changed */
int certauto__undoing(const certauto_job *job);
/* 1: facts of an earlier run were loaded */
int certauto__resumed(const certauto_job *job);
/* 1: an earlier run has left a record, be it of another identity */
int certauto__record_found(const certauto_job *job);
/* since this step (index) was first asked in this run: patience of polls */
int64_t certauto__step_age_ms(const certauto_job *job);
/* times ask ran in this visit, 1 = first */
int64_t certauto__step_attempts(const certauto_job *job);

/* Facts. A name starting with a dot is volatile (not journaled). Lack of memory fails the job by
 * itself. Values up to 64 KiB. Secrets are never facts: a fact may name a file or generation that
 * holds one. */
void certauto__fact_set(certauto_job *job, const char *name, const char *value);  /* NULL removes */
void certauto__fact_printf(certauto_job *job, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void certauto__fact_set_number(certauto_job *job, const char *name, int64_t value);
/* own, else an ancestor's; NULL */
const char *certauto__fact(const certauto_job *job, const char *name);
const char *certauto__fact_own(const certauto_job *job, const char *name);
/* 1: its own one has that value. */
int certauto__fact_is(const certauto_job *job, const char *name, const char *value);
/* Of its own facts of which there are several: "name.i". */
const char *certauto__fact_nth(const certauto_job *job, const char *name, int i);
void certauto__fact_nth_set(certauto_job *job, const char *name, int i, const char *value);
int64_t certauto__fact_number(const certauto_job *job, const char *name, int64_t otherwise);
/* The record is saved before anything else happens (order URL): in a read, after setting the
 * fact. */
void certauto__save_now(certauto_job *job);

/* Progress and warnings, as events of the root job. */
void certauto__progress(certauto_job *job, const char *object, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void certauto__warn(certauto_job *job, const char *object, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Why polls take long, shown to people: "waiting for the CA"; until_at in wall-clock seconds or
 * 0. */
void certauto__waiting(certauto_job *job, const char *object, int64_t until_at, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* ---- queues: FIFO of parked jobs ---- */

typedef struct certauto__queue {
	certauto_job *first, *last;
} certauto__queue;

certauto__verdict certauto__park(certauto_job *job, certauto__queue *queue);
/* SIZE_MAX = all */
void certauto__queue_wake(certauto__queue *queue, size_t n);
/* each waiter fails with a copy */
void certauto__queue_fail(certauto__queue *queue, const certauto_error *error);
int certauto__queue_empty(const certauto__queue *queue);

/* ---- peers: the other side, shared by many jobs ---- */

typedef enum certauto__judgement {
	CERTAUTO__OK,        /* read sees it */
	CERTAUTO__BAD,       /* a definite no: read sees it only with ERRORS; else the job fails
	                        with x->error */
	CERTAUTO__NOW,       /* badNonce: again at once, at most 100 times */
	CERTAUTO__SOON,      /* connection lost, time-out, 5xx, device busy: again, 3 times, growing
	                        delay */
	CERTAUTO__RELOGIN,   /* the session is gone: judge has dropped it; again once per session */
	CERTAUTO__LATER      /* 429, 503 with Retry-After: the job ends with ERETRY_LATER and the
	                        time in x->error */
} certauto__judgement;

struct certauto__peer_ops {
	const char *kind;                                    /* "acme", "haproxy" */
	/* For every attempt: fresh nonce and signature, cookie. SEND, PARKED or FAILED. NULL =
	 * SEND. */
	certauto__verdict (*dress)(certauto_job *job, certauto__exchange *x);
	/* Sorts an answer; fills x->error with the peer's words unless OK. NULL = by HTTP status
	 * alone. */
	certauto__judgement (*judge)(certauto_job *job, certauto__exchange *x);
	/* Frees what hangs on peer->state. */
	void (*destroy)(certauto__peer *peer);
	/* What is said to the peer when the loop has no more work: to log out. A table, env: the
	 * peer's state; NULL: there is nothing to say. Runs as a silent job; certauto_context_run()
	 * and blocking calls wait for it, 5 s at most, and its failure is nobody's. */
	const struct certauto__table *(*farewell)(certauto__peer *peer);
};

struct certauto__peer {
	const struct certauto__peer_ops *ops;
	char *key;                       /* kind + what makes it one and the same peer */
	void *state;
	certauto_context *cx;            /* borrowed: the loop owns its peers */
	int refs;
	int width;                       /* requests in flight at most */
	int in_flight;
	int silent;                      /* exchanges in a row without any answer: at 3 the peer is
	                                    closed for this run */
	int64_t closed_until;            /* monotonic ms */
	certauto_error last;             /* why it counts as dead */
	certauto__queue places;          /* waiting for in_flight < width */
	certauto__queue turn;            /* jobs that take turns: deployments waiting for the
	                                    device, orders for the CA */
	int turns, turns_max;            /* jobs that have their turn; at most, 0 = 1 */
	certauto__peer *next;
};

/* The peer with that key, made (state NULL, *made 1) if there is none. One reference for the
 * caller. */
int certauto__peer_get(certauto__peer **out, certauto_context *cx,
	const struct certauto__peer_ops *ops, const char *key, int width, int *made);
void certauto__peer_unref(certauto__peer *peer);
certauto__peer *certauto__job_peer(const certauto_job *job);
/* What answers mean without a judge: 2xx or accepted OK; 5xx, lost, timed out SOON; 429/503 with
 * Retry-After LATER; else BAD. */
certauto__judgement certauto__judge_http(certauto_job *job, certauto__exchange *x);

/* ---- starting jobs ---- */

struct certauto__start {
	const struct certauto__table *table;
	const char *name;                    /* for people: certificate or target name */
	void *env;
	void (*env_free)(void *env);         /* called when the job is gone, also when starting
	                                        fails */
	certauto__peer *peer;                /* shared (+1) while it runs; may be NULL */
	int one_at_a_time;                   /* takes a turn at the peer first, gives it back at the
	                                        end (a child: CHILD_TURN) */
	int64_t deadline_ms;                 /* from now; 0 = none */
	int plan;
	const struct certauto__journal *journal; /* where its record goes; copied; NULL = the
	                                            context's, if any */
	const char *journal_id;              /* [A-Za-z0-9._-]; NULL = not journaled */
	int alone;                           /* a root: CERTAUTO_EBUSY while another has the
	                                        record, of whatever process */
	const char *identity;                /* a saved record of another identity is undone first,
	                                        never loaded */
	int silent;                          /* no events, not counted by run, not in next_done:
	                                        service jobs */
	/* Called once when it has ended, on the loop's thread, outside all steps. May start
	 * jobs. */
	void (*ended)(certauto_job *job, void *arg);
	void *ended_arg;
	unsigned flags;                      /* of a child: CERTAUTO__CHILD_* */
};

/* Starts a root job; *out (may be NULL) belongs to the caller (certauto_job_free()). With a journal
 * id and a journal on the context the saved record of an earlier run is taken up: same identity:
 * its facts are loaded and the table runs from the top; another: it is undone first. */
int certauto__job_start(certauto_job **out, certauto_context *cx,
	const struct certauto__start *start, certauto_error *err);

/* Starts a child of job, or queues it while `par` children of job are live; facts and undo stack of
 * a saved child of the same table and key are taken up. Returns the child (borrowed, until the job
 * ends or the child is dropped) or NULL (the job then fails by itself: return CERTAUTO__FAILED).
 * Follow with JOIN. */
certauto_job *certauto__child_start(certauto_job *job, const struct certauto__table *table,
	const char *key, void *env, void (*env_free)(void *), certauto__peer *peer, unsigned flags);
/* The same for a child that has its own deadline, or its own journal: then it has a record of its
 * own, and nothing of it is in its parent's. */
certauto_job *certauto__child_start_as(certauto_job *job, const struct certauto__start *start);
enum {
	CERTAUTO__CHILD_HELD = 1,
	CERTAUTO__CHILD_TURN = 2 /* one at a time on the peer; a held one up to its release */
};
void certauto__children_par(certauto_job *job, int par);              /* default 8 */
/* i-th child of that table; NULL past the end */
certauto_job *certauto__child(const certauto_job *job, const struct certauto__table *table,
	size_t i);
/* 0 or a code, after the JOIN */
int certauto__child_result(const certauto_job *child);
/* forget the ended ones: before starting them anew */
void certauto__children_drop(certauto_job *job, const struct certauto__table *table);
/* Releases held children of that table (all of job's, saved ones of an earlier run too): each runs
 * its undo stack. Returns how many there are to wait for: JOIN if > 0. */
size_t certauto__children_release(certauto_job *job, const struct certauto__table *table);
/* Saved children of an earlier run that nobody has taken up: 1 if there are any of that table. */
int certauto__children_left_over(const certauto_job *job, const struct certauto__table *table);
/* Reasons of all failed children of that table gathered: the gravest becomes the job's error, each
 * becomes a subproblem with its key as name. Returns the number of failed ones. */
size_t certauto__children_errors(certauto_job *job, const struct certauto__table *table);

/* After the end of a root job: what its record still owes (1: kept on disk, the next run settles
 * it). */
int certauto__job_owes(const certauto_job *job);
int certauto__job_committed(const certauto_job *job); /* passed a COMMIT step */
int certauto__job_undone(const certauto_job *job);    /* failed and everything was taken back */
int certauto__job_changed(const certauto_job *job);   /* something may have been changed, though it
                                                         may be taken back by now */
/* why its last owed step failed; code 0: none has */
const certauto_error *certauto__job_owed_error(const certauto_job *job);

/* ---- journals: where records go ---- */

struct certauto__journal {
	void *arg;
	/* durable when it returns */
	int (*save)(void *arg, const char *id, const void *data, size_t len, certauto_error *err);
	/* ENOTFOUND */
	int (*load)(void *arg, const char *id, certauto__buffer *out, certauto_error *err);
	int (*remove)(void *arg, const char *id, certauto_error *err);
	/* Both NULL: nobody else can have the records. EBUSY */
	int (*lock)(void *arg, const char *id, void **lock, certauto_error *err);
	void (*unlock)(void *arg, void *lock);
};

/* The context's journal; copied. arg must live until the next, or the context's end. EBUSY: jobs
 * run, and have the former one. */
int certauto__journal_use(certauto_context *cx, const struct certauto__journal *journal);

/* ---- plan ---- */

/* Lines "POST https://... (order)" a planned root job would have sent; borrowed until it is
 * freed. */
const certauto__list *certauto__job_plan(const certauto_job *job);

#endif
