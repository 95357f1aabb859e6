/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: one epoll set that holds libcurl's sockets, the sockets and pipes of other exchanges, a
 * timer and a wake-up descriptor. It runs jobs that are ready, saves records that are dirty, and
 * waits only when nothing else is left to do. What a job does is the business of runner.c. */
#include "jobs/engine.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/memory.h"

#define LOOP_EVENTS 64

struct certauto__loop *certauto__loop_of(const certauto_context *cx)
{
	return cx->loop;
}

/* ---- timers: a binary heap by due_at, 1-based ---- */

static void heap_put(struct certauto__loop *loop, size_t at, certauto_job *job)
{
	loop->heap[at] = job;
	job->heap_at = at;
}

static void heap_up(struct certauto__loop *loop, size_t at)
{
	certauto_job *job = loop->heap[at];

	for (; at > 1 && loop->heap[at / 2]->due_at > job->due_at; at /= 2)
		heap_put(loop, at, loop->heap[at / 2]);
	heap_put(loop, at, job);
}

static void heap_down(struct certauto__loop *loop, size_t at)
{
	certauto_job *job = loop->heap[at];
	size_t child;

	for (; (child = at * 2) <= loop->heap_n; at = child) {
		if (child < loop->heap_n &&
		    loop->heap[child + 1]->due_at < loop->heap[child]->due_at)
			child++;
		if (loop->heap[child]->due_at >= job->due_at)
			break;
		heap_put(loop, at, loop->heap[child]);
	}
	heap_put(loop, at, job);
}

static void heap_remove(struct certauto__loop *loop, certauto_job *job)
{
	size_t at = job->heap_at;
	certauto_job *last;

	if (at == 0)
		return;
	job->heap_at = 0;
	last = loop->heap[loop->heap_n--];
	if (last == job)
		return;
	heap_put(loop, at, last);
	heap_up(loop, at);
	heap_down(loop, last->heap_at);
}

/* Each job has a place among the timers from its first day: a timer that cannot be set for lack of
 * memory would be a job that waits for ever. */
int certauto__loop_reserve(struct certauto__loop *loop)
{
	size_t size = loop->heap_size != 0 ? loop->heap_size * 2 : 64;
	certauto_job **heap;

	if (loop->n_jobs + 2 <= loop->heap_size)
		return 0;
	if ((heap = certauto__realloc(loop->heap, size * sizeof(*heap))) == NULL)
		return CERTAUTO_ENOMEM;
	loop->heap = heap;
	loop->heap_size = size;
	return 0;
}

static int64_t job_due_at(const certauto_job *job)
{
	int64_t deadline = job->undoing == CERTAUTO__UNDO_NOT ? job->deadline_at :
		job->undo_deadline_at;

	if (job->wait == CERTAUTO__WAIT_ENDED)
		return 0;
	if (job->wait == CERTAUTO__WAIT_HELD)
		deadline = 0;
	if (job->timer_at == 0 || (deadline != 0 && deadline < job->timer_at))
		return deadline;
	return job->timer_at;
}

void certauto__loop_timer(certauto_job *job)
{
	struct certauto__loop *loop = certauto__loop_of(job->object.cx);
	int64_t due_at = job_due_at(job);

	if (due_at == job->due_at && (due_at == 0 || job->heap_at != 0))
		return;
	heap_remove(loop, job);
	job->due_at = due_at;
	if (due_at == 0)
		return;
	heap_put(loop, ++loop->heap_n, job);
	heap_up(loop, loop->heap_n);
}

static int64_t loop_next_at(const struct certauto__loop *loop)
{
	int64_t at = loop->heap_n > 0 ? loop->heap[1]->due_at : 0;

	if (loop->http_at != 0 && (at == 0 || loop->http_at < at))
		at = loop->http_at;
	return at;
}

/* For whoever watches the descriptor from outside: it is readable when the next timer is due. */
static void loop_arm(struct certauto__loop *loop)
{
	struct itimerspec spec;
	int64_t at = loop_next_at(loop);

	if (at == loop->armed_at)
		return;
	memset(&spec, 0, sizeof(spec));
	spec.it_value.tv_sec = (time_t)(at / 1000);
	spec.it_value.tv_nsec = (long)(at % 1000) * 1000000;
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	loop->armed_at = at;
}

/* ---- descriptors ---- */

static int epoll_set(struct certauto__loop *loop, int fd, int events)
{
	struct epoll_event event;

	memset(&event, 0, sizeof(event));
	event.data.fd = fd;
	if ((events & CERTAUTO__HTTP_IN) != 0)
		event.events |= EPOLLIN;
	if ((events & CERTAUTO__HTTP_OUT) != 0)
		event.events |= EPOLLOUT;
	if (events == 0) {
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* it may be closed already */
		return 0;
	}
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : CERTAUTO_EIO;
}

int certauto__loop_watch(struct certauto__loop *loop, certauto_job *job, int fd, int events)
{
	certauto_job **watchers;
	size_t n = loop->n_watchers;

	if (fd < 0)
		return CERTAUTO_EINVAL;
	if ((size_t)fd >= n) {
		for (n = n != 0 ? n : 32; n <= (size_t)fd; n *= 2)
			;
		if ((watchers = certauto__realloc(loop->watchers, n * sizeof(*watchers))) == NULL)
			return CERTAUTO_ENOMEM;
		memset(watchers + loop->n_watchers, 0, (n - loop->n_watchers) * sizeof(*watchers));
		loop->watchers = watchers;
		loop->n_watchers = n;
	}
	loop->watchers[fd] = events != 0 ? job : NULL;
	return epoll_set(loop, fd, events);
}

static int http_watch(void *arg, int fd, int events)
{
	return epoll_set(arg, fd, events);
}

static void http_timer(void *arg, int64_t ms)
{
	struct certauto__loop *loop = arg;

	loop->http_at = ms < 0 ? 0 : certauto__clock_ms() + ms;
}

int certauto__loop_http(struct certauto__loop *loop, certauto_error *err)
{
	struct certauto__http_hooks hooks = { loop, http_watch, http_timer };

	return loop->http != NULL ? 0 : certauto__http_new(&loop->http, &hooks, err);
}

/* ---- making and freeing ---- */

static void loop_free(struct certauto__loop *loop)
{
	certauto__peer *peer, *next;

	if (loop == NULL)
		return;
	certauto__http_free(loop->http);
	for (peer = loop->peers; peer != NULL; peer = next) {
		next = peer->next;
		certauto__peer_unref(peer);
	}
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	if (loop->event_fd >= 0)
		close(loop->event_fd);
	certauto__free(loop->heap);
	certauto__free(loop->watchers);
	certauto__free(loop->done);
	certauto__free(loop);
}

static void loop_end(certauto_context *cx);

static int loop_new(struct certauto__loop **out, certauto_context *cx)
{
	struct certauto__loop *loop = certauto__alloc(sizeof(*loop));
	int rc = CERTAUTO_EIO;

	if (loop == NULL)
		return CERTAUTO_ENOMEM;
	loop->cx = cx;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->timer_fd < 0 || loop->event_fd < 0)
		goto out;
	if (epoll_set(loop, loop->timer_fd, CERTAUTO__HTTP_IN) < 0 ||
	    epoll_set(loop, loop->event_fd, CERTAUTO__HTTP_IN) < 0)
		goto out;
	*out = loop;
	return 0;
out:
	loop_free(loop);
	return rc;
}

int certauto_context_new(certauto_context **out)
{
	certauto_context *cx;
	int rc;

	if (out == NULL)
		return CERTAUTO_EINVAL;
	if ((cx = certauto__alloc(sizeof(*cx))) == NULL)
		return CERTAUTO_ENOMEM;
	cx->refs = 1;
	cx->pid = getpid();
	cx->log_level = CERTAUTO_LOG_INFO;
	if ((rc = loop_new(&cx->loop, cx)) < 0) {
		certauto__free(cx);
		return rc;
	}
	cx->loop_end = loop_end;
	cx->loop_free = loop_free;
	*out = cx;
	return 0;
}

static void loop_drop_peers(struct certauto__loop *loop)
{
	certauto__peer *peer;

	/* A peer's state may hold handles, and these the context: the loop lets go of its own part
	 * here. */
	while ((peer = loop->peers) != NULL) {
		loop->peers = peer->next;
		peer->next = NULL;
		certauto__peer_unref(peer);
	}
}

/* On the way out of the outermost call: no job is in its turn then. */
static void loop_end(certauto_context *cx)
{
	certauto_job *job;
	certauto_store *store;

	/* Jobs end first, while callbacks are still there to be told. None can be started now. */
	while ((job = cx->loop->roots) != NULL) {
		certauto__object_ref(job);
		certauto__job_abandon(job, CERTAUTO_ECANCELED);
		certauto__object_unref(job);
	}
	cx->dead = 1;
	loop_drop_peers(cx->loop);
	store = cx->store;
	cx->store = NULL;
	memset(&cx->loop->journal, 0, sizeof(cx->loop->journal));
	if (cx->event_free != NULL)
		cx->event_free(cx->event_payload);
	cx->event_cb = NULL;
	cx->event_free = NULL;
	certauto__object_unref(store);
}

void certauto_context_free(certauto_context *cx)
{
	/* After a fork the parent process owns the sockets and records: nothing here is ours. */
	if (cx == NULL || cx->pid != getpid() || certauto__enter(cx) < 0)
		return;
	cx->ending = 1;
	(void)certauto__leave(cx, 0);
	certauto__context_unref(cx);
}

/* ---- roots ---- */

/* Room for the ids of all that run, so that none is lost when it ends. */
static int done_reserve(struct certauto__loop *loop)
{
	size_t i, size = loop->done_size != 0 ? loop->done_size * 2 : 16;
	int64_t *done;

	if (loop->done_n + (size_t)loop->n_active < loop->done_size)
		return 0;
	if ((done = certauto__alloc(size * sizeof(*done))) == NULL)
		return CERTAUTO_ENOMEM;
	for (i = 0; i < loop->done_n; i++)
		done[i] = loop->done[(loop->done_first + i) % loop->done_size];
	certauto__free(loop->done);
	loop->done = done;
	loop->done_size = size;
	loop->done_first = 0;
	return 0;
}

int certauto__loop_adopt(struct certauto__loop *loop, certauto_job *root)
{
	int rc;

	if (!root->silent && (rc = done_reserve(loop)) < 0)
		return rc;
	root->id = ++loop->last_id;
	root->cancel_base = loop->cancel_seen;
	root->next_root = loop->roots;
	if (loop->roots != NULL)
		loop->roots->prev_root = root;
	loop->roots = certauto__object_ref(root);
	if (!root->silent) {
		loop->n_active++;
		loop->parted = 0;
	}
	return 0;
}

void certauto__loop_forget(struct certauto__loop *loop, certauto_job *root)
{
	if (root->prev_root != NULL)
		root->prev_root->next_root = root->next_root;
	else
		loop->roots = root->next_root;
	if (root->next_root != NULL)
		root->next_root->prev_root = root->prev_root;
	root->next_root = root->prev_root = NULL;
	if (!root->silent)
		loop->n_active--;
	certauto__object_unref(root);
}

void certauto__loop_done(struct certauto__loop *loop, int64_t id)
{
	loop->done[(loop->done_first + loop->done_n++) % loop->done_size] = id;
}

int64_t certauto_context_next_done(certauto_context *cx)
{
	struct certauto__loop *loop;
	int64_t id;

	if (cx == NULL || (loop = cx->loop)->done_n == 0)
		return 0;
	id = loop->done[loop->done_first];
	loop->done_first = (loop->done_first + 1) % loop->done_size;
	loop->done_n--;
	return id;
}

/* ---- turning ---- */

void certauto__loop_wake(struct certauto__loop *loop)
{
	static const uint64_t one = 1;
	int saved_errno = errno;

	if (write(loop->event_fd, &one, sizeof(one)) < 0)
		errno = saved_errno; /* full: it is readable already */
	errno = saved_errno;
}

void certauto__loop_ready(certauto_job *job)
{
	struct certauto__loop *loop = certauto__loop_of(job->object.cx);

	if (job->queue == &loop->ready)
		return;
	(void)certauto__park(job, &loop->ready);
	job->wait = CERTAUTO__WAIT_READY;
	if (!loop->running)
		certauto__loop_wake(loop);
}

static void save_failed(certauto_job *job, int code, certauto_error *err)
{
	certauto__error_prefix(err, "cannot save the journal");
	if (job->undoing != CERTAUTO__UNDO_NOT) {
		/* The older record names more than is left to take back, which does no harm: a full
		 * disk must not keep an answer to a challenge in its place. */
		certauto__warn(job, job->key, "%s", certauto_error_message(err));
		job->unsaved = 1;
		certauto__error_clear(err);
		return;
	}
	/* Nothing is sent whose record is not safe: the step fails. */
	certauto__error_clear(&job->error);
	certauto__error_move(&job->error, err);
	job->stop = code;
}

/* Records are written when no job can go on without: all that are dirty by then, each once. */
static int loop_save(struct certauto__loop *loop)
{
	certauto_job *job, *record;
	certauto_error err;
	int rc, n = 0;

	while ((job = certauto__queue_pop(&loop->saving)) != NULL) {
		memset(&err, 0, sizeof(err));
		record = certauto__job_record(job);
		rc = record != NULL && record->dirty ? certauto__journal_write(record, &err) : 0;
		if (rc < 0)
			save_failed(job, rc, &err);
		certauto__loop_ready(job);
		n++;
	}
	return n;
}

static void loop_http_done(struct certauto__loop *loop)
{
	certauto__transfer *transfer;
	certauto_job *job;

	if (loop->http == NULL)
		return;
	while ((transfer = certauto__http_next_done(loop->http)) != NULL) {
		job = certauto__transfer_arg(transfer);
		if (job->wait == CERTAUTO__WAIT_SENT && job->x.transfer == transfer)
			certauto__run_ready(job, -1, 0);
	}
}

/* How often a job is to be cancelled is counted from its start; the counts are only read here, as
 * other threads add to them. The first time it takes back what it has done, the second it
 * leaves. */
static void loop_cancel(struct certauto__loop *loop)
{
	int all = __atomic_load_n(&loop->cx->cancel, __ATOMIC_ACQUIRE);
	int single = __atomic_load_n(&loop->cx->job_cancels, __ATOMIC_ACQUIRE);
	certauto_job *job, *next;
	int asked;

	/* A thousand jobs are not gone through at each wake-up. */
	if (!loop->unwanted && all == loop->cancel_seen && single == loop->job_cancels_seen)
		return;
	loop->unwanted = 0;
	loop->cancel_seen = all;
	loop->job_cancels_seen = single;
	for (job = loop->roots; job != NULL; job = next) {
		next = job->next_root;
		asked = __atomic_load_n(&job->cancel, __ATOMIC_ACQUIRE) + loop->cancel_seen -
			job->cancel_base;
		if (asked > job->cancel_seen && asked > 1) {
			job->cancel_seen = asked;
			loop->parted = 1; /* whoever is in such haste does not stay to say so */
			certauto__object_ref(job);
			certauto__job_abandon(job, CERTAUTO_ECANCELED);
			certauto__object_unref(job);
			next = loop->roots; /* others may have gone with it */
		} else if (asked > job->cancel_seen || job->unwanted == 1) {
			job->cancel_seen = asked;
			job->unwanted = job->unwanted != 0 ? 2 : 0;
			certauto__job_stop(job, CERTAUTO_ECANCELED);
		}
	}
}

static void loop_work(struct certauto__loop *loop)
{
	certauto_job *job;

	do {
		loop_http_done(loop);
		while (!loop->cx->ending && (job = certauto__queue_pop(&loop->ready)) != NULL) {
			certauto__job_turn(job);
			if (loop->unwanted)
				loop_cancel(loop);
			loop_http_done(loop);
		}
	} while (!loop->cx->ending && (loop_save(loop) > 0 || loop->ready.first != NULL));
}

static void job_due(certauto_job *job, int64_t now)
{
	int64_t *deadline = job->undoing == CERTAUTO__UNDO_NOT ? &job->deadline_at :
		&job->undo_deadline_at;

	if (job->timer_at != 0 && job->timer_at <= now) {
		job->timer_at = 0;
		if (job->wait == CERTAUTO__WAIT_TIMER)
			certauto__loop_ready(job);
		else if (job->wait == CERTAUTO__WAIT_SENT && certauto__run_timed_out(job))
			certauto__loop_ready(job);
	} else if (*deadline != 0 && *deadline <= now) {
		*deadline = 0;
		certauto__job_stop(job, CERTAUTO_ETIMEDOUT);
	}
	certauto__loop_timer(job);
}

static void loop_timers(struct certauto__loop *loop)
{
	int64_t now = certauto__clock_ms();

	if (loop->http_at != 0 && loop->http_at <= now) {
		loop->http_at = 0;
		certauto__http_expired(loop->http);
	}
	while (loop->heap_n > 0 && loop->heap[1]->due_at <= now)
		job_due(loop->heap[1], now);
}

static void loop_event(struct certauto__loop *loop, const struct epoll_event *event)
{
	int fd = event->data.fd, events = 0;
	uint64_t count;

	if (fd == loop->event_fd || fd == loop->timer_fd) {
		if (fd == loop->timer_fd)
			loop->armed_at = 0;
		while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
			;
		return;
	}
	if ((event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		events |= CERTAUTO__HTTP_IN;
	if ((event->events & (EPOLLOUT | EPOLLERR)) != 0)
		events |= CERTAUTO__HTTP_OUT;
	if ((size_t)fd < loop->n_watchers && loop->watchers[fd] != NULL)
		certauto__run_ready(loop->watchers[fd], fd, events);
	else if (loop->http != NULL)
		certauto__http_ready(loop->http, fd, events);
}

/* Waits at most wait_ms (-1 = for ever) and hands out what came. Returns the number of events, or
 * -1 when a signal interrupted. */
static int loop_wait(struct certauto__loop *loop, int64_t wait_ms)
{
	struct epoll_event events[LOOP_EVENTS];
	int64_t next_at = loop_next_at(loop), until;
	int i, n;

	if (next_at != 0) {
		until = next_at - certauto__clock_ms();
		until = until < 0 ? 0 : until;
		if (wait_ms < 0 || until < wait_ms)
			wait_ms = until;
	}
	if (wait_ms > 60000)
		wait_ms = 60000;
	n = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, (int)wait_ms);
	if (n < 0)
		return errno == EINTR ? -1 : 0;
	for (i = 0; i < n; i++)
		loop_event(loop, &events[i]);
	loop_timers(loop);
	return n;
}

/* What is left to say to peers is waited for too, but not while others are at work: then it is not
 * yet time for it. */
static int is_over(const struct certauto__loop *loop, const certauto_job *until)
{
	if (until != NULL && until->wait != CERTAUTO__WAIT_ENDED)
		return 0;
	return loop->n_active > 0 ? until != NULL : loop->n_farewells == 0;
}

static int loop_run(certauto_context *cx, int64_t timeout_ms, const certauto_job *until)
{
	struct certauto__loop *loop = cx->loop;
	int64_t left, deadline = timeout_ms < 0 ? -1 : certauto__clock_ms() + timeout_ms;
	int last = 0;

	loop->running = 1;
	for (;;) {
		loop_cancel(loop);
		loop_work(loop);
		if (certauto__peers_part(loop) > 0)
			loop_work(loop);
		if (last || cx->ending)
			break;
		left = deadline < 0 ? -1 : deadline - certauto__clock_ms();
		/* What is there when the time is over, or the work, is still handed out once: a
		 * wake-up that nobody takes would keep the descriptor readable for ever, and one
		 * that is taken must be acted on. */
		last = deadline >= 0 && left <= 0;
		if (is_over(loop, until))
			last = 1;
		if (loop_wait(loop, last ? 0 : left) < 0)
			last = 1;
	}
	loop->running = 0;
	loop_arm(loop);
	return loop->n_active + loop->n_farewells;
}

/* A callback has freed the context that called it. */
static int freed(certauto_context *cx)
{
	return certauto__error_set(&cx->error, CERTAUTO_ECANCELED, NULL, "the context was freed");
}

int certauto_context_run(certauto_context *cx, int timeout_ms)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if ((rc = certauto__not_in_callback(cx)) == 0)
		rc = loop_run(cx, timeout_ms, NULL);
	return certauto__leave(cx, cx->ending ? freed(cx) : rc);
}

int certauto_job_wait(certauto_job *job, int timeout_ms)
{
	certauto_context *cx;
	int64_t now, deadline;
	int rc;

	if (job == NULL)
		return CERTAUTO_EINVAL;
	cx = job->object.cx;
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if ((rc = certauto__not_in_callback(cx)) < 0)
		return certauto__leave(cx, rc);
	certauto__object_ref(job); /* a callback may free the caller's handle */
	deadline = timeout_ms < 0 ? -1 : certauto__clock_ms() + timeout_ms;
	do {
		now = certauto__clock_ms();
		if (deadline >= 0 && now > deadline)
			break;
		loop_run(cx, deadline < 0 ? -1 : deadline - now, job);
	} while (job->wait != CERTAUTO__WAIT_ENDED && !cx->ending);
	rc = job->rc;
	if (cx->ending)
		rc = freed(cx);
	else if (job->wait != CERTAUTO__WAIT_ENDED)
		rc = certauto__error_set(&cx->error, CERTAUTO_ETIMEDOUT, job->name,
			"still running after %d ms", timeout_ms);
	else if (rc < 0)
		certauto__error_copy(&cx->error, &job->error);
	certauto__object_unref(job);
	return certauto__leave(cx, rc);
}

int certauto_context_fd(const certauto_context *cx)
{
	return cx != NULL ? cx->loop->epoll_fd : -1;
}

int certauto_context_wait_ms(const certauto_context *cx)
{
	int64_t at, ms;

	if (cx == NULL)
		return -1;
	if (cx->loop->ready.first != NULL)
		return 0;
	if ((at = loop_next_at(cx->loop)) == 0)
		return -1;
	ms = at - certauto__clock_ms();
	return ms < 0 ? 0 : ms > 86400000 ? 86400000 : (int)ms;
}

void certauto_context_cancel(certauto_context *any_cx)
{
	if (any_cx == NULL)
		return;
	__atomic_add_fetch(&any_cx->cancel, 1, __ATOMIC_ACQ_REL);
	certauto__loop_wake(any_cx->loop);
}

int certauto__journal_use(certauto_context *cx, const struct certauto__journal *journal)
{
	if (cx->loop->n_active > 0)
		return CERTAUTO_EBUSY;
	cx->loop->journal = *journal;
	return 0;
}
