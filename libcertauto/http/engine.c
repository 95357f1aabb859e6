/* SPDX-License-Identifier: Apache-2.0 */

/* The multi handle and its sockets. libcurl tells what to watch through the hooks and is called
 * when something is ready; it may call the hooks in the midst of any of its functions, so they only
 * record. Finished messages are taken at once after each call into it, before the loop waits. */

#include <assert.h>
#include <pthread.h>
#include <stdio.h>

#include "core/clock.h"
#include "core/memory.h"
#include "http/private.h"

/* ---- lists ---- */

static void list_add(struct certauto__transfer_list *list, certauto__transfer *t)
{
	t->list = list;
	t->next = NULL;
	t->prev = list->last;
	if (list->last != NULL)
		list->last->next = t;
	else
		list->first = t;
	list->last = t;
}

static void list_remove(certauto__transfer *t)
{
	if (t->list == NULL)
		return;
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		t->list->first = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	else
		t->list->last = t->prev;
	t->list = NULL;
}

/* ---- easy handles ---- */

static struct certauto__slot *slot_get(certauto__http *http)
{
	struct certauto__slot *slot = http->idle;

	if (slot != NULL) {
		http->idle = slot->next;
		http->n_idle--;
		slot->why[0] = '\0';
		return slot;
	}
	if ((slot = certauto__alloc(sizeof(*slot))) != NULL &&
	    (slot->easy = curl_easy_init()) == NULL) {
		certauto__free(slot);
		slot = NULL;
	}
	return slot;
}

static void slot_free(struct certauto__slot *slot)
{
	curl_easy_cleanup(slot->easy);
	certauto__free(slot);
}

/* Takes the handle out of the multi handle, which closes the connection of a probe, and lets go of
 * everything that belongs to the transfer. */
static void slot_put(certauto__transfer *t)
{
	certauto__http *http = t->http;
	struct certauto__slot *slot = t->slot;
	long connects = 0;

	if (slot == NULL)
		return;
	t->slot = NULL;
	if (curl_easy_getinfo(slot->easy, CURLINFO_NUM_CONNECTS, &connects) == CURLE_OK)
		http->connections += connects;
	curl_multi_remove_handle(http->multi, slot->easy);
	curl_easy_reset(slot->easy);
	if (http->n_idle >= CERTAUTO__HTTP_IDLE_SLOTS) {
		slot_free(slot);
		return;
	}
	slot->next = http->idle;
	http->idle = slot;
	http->n_idle++;
}

/* ---- transfers ---- */

static void transfer_finish(certauto__transfer *t)
{
	slot_put(t);
	certauto__transfer_forget(t);
	list_remove(t);
	list_add(&t->http->done, t);
}

static int from_multi(CURLMcode code)
{
	return code == CURLM_OUT_OF_MEMORY ? CERTAUTO_ENOMEM : CERTAUTO_EIO;
}

static void transfer_next_hop(certauto__transfer *t)
{
	CURLMcode code;

	curl_multi_remove_handle(t->http->multi, t->slot->easy);
	if ((t->rc = certauto__options_follow(t, &t->error)) == 0 &&
	    (code = curl_multi_add_handle(t->http->multi, t->slot->easy)) != CURLM_OK)
		t->rc = certauto__failure_set(t, from_multi(code), "%s", curl_multi_strerror(code));
	if (t->rc < 0)
		transfer_finish(t);
}

static int broken(const certauto__http *http, certauto_error *err)
{
	return certauto__error_set(err, http->broken, NULL,
		"the sockets of libcurl cannot be watched any more");
}

/* Everything libcurl has finished; and everything at all once the engine is broken. */
static void settle(certauto__http *http, CURLMcode code)
{
	certauto__transfer *t;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		CURLcode result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		if (certauto__transfer_end(t, result) == 1)
			transfer_next_hop(t);
		else
			transfer_finish(t);
	}
	if (code != CURLM_OK && http->broken == 0)
		http->broken = from_multi(code);
	while (http->broken < 0 && (t = http->running.first) != NULL) {
		t->rc = broken(http, &t->error);
		transfer_finish(t);
	}
}

/* libcurl's timer for a deadline runs out even while the transfer still waits for a free
 * connection, but then it does nothing about it. */
static void sweep(certauto__http *http)
{
	int64_t now = certauto__clock_ms();
	certauto__transfer *t, *next;

	if (now < http->overdue_at)
		return;
	http->overdue_at = INT64_MAX;
	for (t = http->running.first; t != NULL; t = next) {
		next = t->next;
		if (now >= t->deadline) {
			t->rc = certauto__failure_set(t, CERTAUTO_ETIMEDOUT, "no answer in time");
			transfer_finish(t);
		} else if (t->deadline < http->overdue_at) {
			http->overdue_at = t->deadline;
		}
	}
}

int certauto__engine_add(certauto__transfer *t, const struct certauto__http_request *request,
	certauto_error *err)
{
	certauto__http *http = t->http;
	CURLMcode code;
	int rc;

	if (http->broken < 0)
		return broken(http, err);
	if ((t->slot = slot_get(http)) == NULL)
		return certauto__error_nomem(err);
	if ((rc = certauto__options_set(t, request, err)) < 0)
		return rc;
	if ((code = curl_multi_add_handle(http->multi, t->slot->easy)) != CURLM_OK)
		return certauto__error_set(err, from_multi(code), NULL, "libcurl: %s",
			curl_multi_strerror(code));
	list_add(&http->running, t);
	if (t->deadline < http->overdue_at)
		http->overdue_at = t->deadline;
	return 0;
}

void certauto__engine_remove(certauto__transfer *t)
{
	slot_put(t);
	list_remove(t);
}

certauto__transfer *certauto__http_next_done(certauto__http *http)
{
	certauto__transfer *t = http->done.first;

	if (t != NULL)
		list_remove(t);
	return t;
}

/* ---- driving ---- */

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *arg, void *fd_arg)
{
	static const int events[] = {
		[CURL_POLL_NONE] = 0,
		[CURL_POLL_IN] = CERTAUTO__HTTP_IN,
		[CURL_POLL_OUT] = CERTAUTO__HTTP_OUT,
		[CURL_POLL_INOUT] = CERTAUTO__HTTP_IN | CERTAUTO__HTTP_OUT,
		[CURL_POLL_REMOVE] = 0
	};
	certauto__http *http = arg;
	int rc = http->hooks.watch(http->hooks.arg, fd, events[what]);

	(void)easy;
	(void)fd_arg;
	if (rc == 0 || events[what] == 0)
		return 0;
	if (http->broken == 0)
		http->broken = rc;
	return -1;
}

static int timer_changed(CURLM *multi, long ms, void *arg)
{
	certauto__http *http = arg;

	(void)multi;
	http->hooks.timer(http->hooks.arg, ms);
	return 0;
}

void certauto__http_ready(certauto__http *http, int fd, int events)
{
	int running, flags = 0;

	if (events & CERTAUTO__HTTP_IN)
		flags |= CURL_CSELECT_IN;
	if (events & CERTAUTO__HTTP_OUT)
		flags |= CURL_CSELECT_OUT;
	if (flags == 0)
		flags = CURL_CSELECT_ERR;
	settle(http, curl_multi_socket_action(http->multi, fd, flags, &running));
}

void certauto__http_expired(certauto__http *http)
{
	int running;

	settle(http, curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running));
	sweep(http);
}

/* ---- the engine ---- */

/* Once a process and never undone: the host may use libcurl too. Thread-safe on our side, and since
 * 7.84 on libcurl's. */
static int global_init(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int done;
	int ok;

	pthread_mutex_lock(&lock);
	done = done || curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	ok = done;
	pthread_mutex_unlock(&lock);
	return ok ? 0 : CERTAUTO_ENOMEM;
}

int certauto__http_new(certauto__http **out, const struct certauto__http_hooks *hooks,
	certauto_error *err)
{
	certauto__http *http;

	if (global_init() < 0 || (http = certauto__alloc(sizeof(*http))) == NULL)
		return certauto__error_nomem(err);
	if ((http->multi = curl_multi_init()) == NULL) {
		certauto__free(http);
		return certauto__error_nomem(err);
	}
	http->hooks = *hooks;
	http->overdue_at = INT64_MAX;
	certauto__options_multi(http, socket_changed, timer_changed);
	*out = http;
	return 0;
}

void certauto__http_free(certauto__http *http)
{
	struct certauto__slot *slot;

	if (http == NULL)
		return;
	assert(http->n_transfers == 0);
	while ((slot = http->idle) != NULL) {
		http->idle = slot->next;
		slot_free(slot);
	}
	curl_multi_cleanup(http->multi);
	certauto__free(http);
}

long certauto__http_connections(const certauto__http *http)
{
	return http->connections;
}

static char version[32];

static void version_make(void)
{
	snprintf(version, sizeof(version), "libcurl/%s",
		curl_version_info(CURLVERSION_NOW)->version);
}

const char *certauto__http_version(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, version_make);
	return version;
}
