/* SPDX-License-Identifier: Apache-2.0 */
/* Peers and queues: how many requests are in flight, whose turn it is on a device, whether the
 * other side still answers. What a session or a nonce is, its own folder knows. */
#include "jobs/engine.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"

/* ---- queues ---- */

certauto__verdict certauto__park(certauto_job *job, certauto__queue *queue)
{
	job->wait = CERTAUTO__WAIT_PARKED;
	job->queue = queue;
	job->next_ready = NULL;
	if (queue->last != NULL)
		queue->last->next_ready = job;
	else
		queue->first = job;
	queue->last = job;
	return CERTAUTO__PARKED;
}

certauto_job *certauto__queue_pop(certauto__queue *queue)
{
	certauto_job *job = queue->first;

	if (job == NULL)
		return NULL;
	queue->first = job->next_ready;
	if (queue->first == NULL)
		queue->last = NULL;
	job->queue = NULL;
	job->next_ready = NULL;
	return job;
}

void certauto__queue_wake(certauto__queue *queue, size_t n)
{
	certauto_job *job;

	while (n-- > 0 && (job = certauto__queue_pop(queue)) != NULL) {
		job->woken = queue;
		certauto__loop_ready(job);
	}
}

void certauto__queue_fail(certauto__queue *queue, const certauto_error *error)
{
	certauto_job *job;

	while ((job = certauto__queue_pop(queue)) != NULL) {
		if (job->undoing == CERTAUTO__UNDO_NOT) {
			certauto__error_clear(&job->error);
			certauto__error_copy(&job->error, error);
		} else {
			certauto__error_clear(&job->x.error);
			certauto__error_copy(&job->x.error, error);
		}
		job->stop = error->code;
		job->refused = 1;
		certauto__loop_ready(job);
	}
}

int certauto__queue_empty(const certauto__queue *queue)
{
	return queue->first == NULL;
}

void certauto__queue_remove(certauto_job *job)
{
	certauto__queue *queue = job->queue;
	certauto_job **at = &queue->first, *last = NULL;

	while (*at != NULL && *at != job) {
		last = *at;
		at = &(*at)->next_ready;
	}
	if (*at == job) {
		*at = job->next_ready;
		if (queue->last == job)
			queue->last = last;
	}
	job->queue = NULL;
	job->next_ready = NULL;
}

/* ---- peers ---- */

int certauto__peer_get(certauto__peer **out, certauto_context *cx,
	const struct certauto__peer_ops *ops, const char *key, int width, int *made)
{
	struct certauto__loop *loop = certauto__loop_of(cx);
	certauto__peer *peer;

	*made = 0;
	for (peer = loop->peers; peer != NULL; peer = peer->next) {
		if (peer->ops != ops || strcmp(peer->key, key) != 0)
			continue;
		peer->refs++;
		*out = peer;
		return 0;
	}
	if ((peer = certauto__alloc(sizeof(*peer))) == NULL)
		return CERTAUTO_ENOMEM;
	if ((peer->key = certauto__strdup(key)) == NULL) {
		certauto__free(peer);
		return CERTAUTO_ENOMEM;
	}
	peer->ops = ops;
	peer->cx = cx;
	peer->width = width > 0 ? width : 1;
	peer->refs = 2; /* the loop's own: sessions outlive the jobs that opened them */
	peer->next = loop->peers;
	loop->peers = peer;
	*made = 1;
	*out = peer;
	return 0;
}

void certauto__peer_unref(certauto__peer *peer)
{
	if (peer == NULL || --peer->refs > 0)
		return;
	if (peer->ops->destroy != NULL)
		peer->ops->destroy(peer);
	certauto__error_clear(&peer->last);
	certauto__free(peer->key);
	certauto__free(peer);
}

int certauto__peer_is_closed(certauto__peer *peer)
{
	if (peer->silent < CERTAUTO__SILENT_MAX)
		return 0;
	if (certauto__clock_ms() < peer->closed_until)
		return 1;
	peer->silent = 0;
	return 0;
}

static int is_silence(const certauto_job *job)
{
	return job->x.rc == CERTAUTO_ENET || job->x.rc == CERTAUTO_ETIMEDOUT;
}

void certauto__peer_heard(certauto_job *job)
{
	certauto__peer *peer = job->peer;

	if (peer == NULL || !job->in_flight)
		return;
	if (!is_silence(job)) {
		peer->silent = 0;
		return;
	}
	if (++peer->silent != CERTAUTO__SILENT_MAX)
		return;
	/* Whoever waits for this peer would wait through the same time-outs: they fail now. */
	peer->closed_until = certauto__clock_ms() + CERTAUTO__SILENT_MS;
	certauto__error_clear(&peer->last);
	certauto__error_copy(&peer->last, &job->x.error);
	certauto__queue_fail(&peer->places, &job->x.error);
}

void certauto__peer_release(certauto_job *job)
{
	if (!job->in_flight)
		return;
	job->in_flight = 0;
	job->peer->in_flight--;
	certauto__queue_wake(&job->peer->places, 1);
}

int certauto__peer_take_turn(certauto_job *job)
{
	certauto__peer *peer = job->peer;

	if (peer == NULL || job->has_turn)
		return 1;
	if (peer->turns >= (peer->turns_max > 0 ? peer->turns_max : 1)) {
		certauto__park(job, &peer->turn);
		return 0;
	}
	peer->turns++;
	job->has_turn = 1;
	return 1;
}

void certauto__peer_give_turn(certauto_job *job)
{
	certauto_job *next;

	if (!job->has_turn)
		return;
	job->has_turn = 0;
	next = certauto__queue_pop(&job->peer->turn);
	if (next == NULL) {
		job->peer->turns--;
		return;
	}
	/* Handed over: it could come too late for one that had only been woken, and for ever. */
	next->has_turn = 1;
	certauto__loop_ready(next);
}

/* Who is woken has to come and take what it was woken for. One that is stopped, or fails before it
 * gets there, passes that on: otherwise all behind it wait for ever. */
void certauto__peer_pass(certauto_job *job)
{
	certauto__queue *queue = job->woken;

	job->woken = NULL;
	if (job->peer != NULL && queue == &job->peer->places)
		certauto__queue_wake(queue, 1);
}

/* ---- the end of the work ---- */

static void farewell_ended(certauto_job *job, void *arg)
{
	struct certauto__loop *loop = arg;

	(void)job;
	loop->n_farewells--;
}

/* What cannot be said for lack of memory is left: sessions end by themselves. */
static void say_farewell(struct certauto__loop *loop, certauto__peer *peer)
{
	struct certauto__start start = {
		.name = peer->key,
		.env = peer->state,
		.peer = peer,
		.deadline_ms = CERTAUTO__FAREWELL_MS,
		.silent = 1,
		.ended = farewell_ended,
		.ended_arg = loop,
	};

	if (peer->ops->farewell == NULL || (start.table = peer->ops->farewell(peer)) == NULL)
		return;
	if (certauto__job_start(NULL, peer->cx, &start, NULL) == 0)
		loop->n_farewells++;
}

int certauto__peers_part(struct certauto__loop *loop)
{
	certauto__peer *peer;

	if (loop->n_active > 0 || loop->parted || loop->cx->ending)
		return 0;
	loop->parted = 1;
	for (peer = loop->peers; peer != NULL; peer = peer->next)
		say_farewell(loop, peer);
	return loop->n_farewells;
}

/* ---- what answers mean ---- */

static int is_accepted(const certauto_job *job, int status)
{
	const struct certauto__step *step = &job->table->steps[job->step];
	const int *accept = job->undoing != CERTAUTO__UNDO_NOT ? step->undo_accept : step->accept;

	if (status >= 200 && status < 300)
		return 1;
	for (; accept != NULL && *accept != 0; accept++)
		if (*accept == status)
			return 1;
	return 0;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

static int code_of(int status)
{
	switch (status) {
	case 401:
		return CERTAUTO_EAUTH;
	case 403:
		return CERTAUTO_EPERM;
	case 404:
		return CERTAUTO_ENOTFOUND;
	default:
		return CERTAUTO_EREFUSED;
	}
}

certauto__judgement certauto__judge_http(certauto_job *job, certauto__exchange *x)
{
	int64_t wait_s;

	if (x->rc == CERTAUTO_ENET || x->rc == CERTAUTO_ETIMEDOUT)
		return CERTAUTO__SOON;
	if (x->rc < 0)
		return CERTAUTO__BAD;
	if (x->kind != CERTAUTO__X_HTTP || is_accepted(job, x->status))
		return CERTAUTO__OK;
	certauto__error_clear(&x->error);
	certauto__error_set(&x->error, code_of(x->status), certauto__buffer_text(&x->url),
		"%s %s: HTTP status %d", x->method, certauto__buffer_text(&x->url), x->status);
	x->error.status = x->status;
	wait_s = certauto__transfer_retry_after(x->transfer);
	if (x->status == 429 || (x->status == 503 && wait_s > 0)) {
		x->error.code = CERTAUTO_ERETRY_LATER;
		x->error.retry_at = certauto__clock_now() + clamp(wait_s, 1, 7 * 86400);
		return CERTAUTO__LATER;
	}
	return x->status >= 500 ? CERTAUTO__SOON : CERTAUTO__BAD;
}
