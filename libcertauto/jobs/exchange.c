/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges: one question and one answer, whatever the transport. HTTP and probes run in http/;
 * sockets and programs in run_unix.c and run_proc.c; here is what they have in common. */
#include "jobs/run.h"

#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/memory.h"

#define ANSWER_MAX (256 * 1024)

/* ---- filling ---- */

static void url_set(certauto__exchange *x, const char *url)
{
	certauto__buffer_init(&x->url, CERTAUTO__HTTP_URL_MAX);
	certauto__buffer_text_add(&x->url, url);
}

certauto__verdict certauto__ask_http(certauto__exchange *x, const char *method, const char *url)
{
	x->kind = CERTAUTO__X_HTTP;
	x->http = CERTAUTO__HTTP_API;
	x->method = method;
	url_set(x, url);
	return CERTAUTO__SEND;
}

certauto__verdict certauto__ask_unix(certauto__exchange *x, const char *path)
{
	x->kind = CERTAUTO__X_UNIX;
	url_set(x, path);
	return CERTAUTO__SEND;
}

certauto__verdict certauto__ask_proc(certauto__exchange *x)
{
	x->kind = CERTAUTO__X_PROC;
	return CERTAUTO__SEND;
}

certauto__verdict certauto__ask_probe(certauto__exchange *x, const char *name, const char *address,
	const char *key)
{
	const char *port = strrchr(address, ':');

	x->kind = CERTAUTO__X_PROBE;
	x->http = CERTAUTO__HTTP_PROBE;
	x->probe_key = key;
	x->connect_to = address;
	certauto__buffer_init(&x->url, CERTAUTO__HTTP_URL_MAX);
	certauto__buffer_printf(&x->url, "https://%s%s/", name, port != NULL ? port : "");
	return CERTAUTO__SEND;
}

certauto__verdict certauto__ask_call(certauto__exchange *x, certauto__call_fn call)
{
	x->kind = CERTAUTO__X_CALL;
	x->call = call;
	return CERTAUTO__SEND;
}

void certauto__exchange_add_header(certauto__exchange *x, const char *format, ...)
{
	certauto__buffer line = CERTAUTO__BUFFER(CERTAUTO__HTTP_HEADERS_MAX);
	va_list args;

	line.secret = 1;
	va_start(args, format);
	certauto__buffer_vprintf(&line, format, args);
	va_end(args);
	/* A header that is missing must not go unnoticed: the body's sticky error stops the
	 * sending. */
	if (line.rc < 0 || certauto__list_add(&x->headers, line.data, line.len) < 0)
		x->body.rc = line.rc < 0 ? line.rc : CERTAUTO_ENOMEM;
	certauto__buffer_free(&line);
}

const char *certauto__exchange_answer(const certauto__exchange *x, size_t *len)
{
	const certauto__buffer *body = &x->answer;

	if (x->transfer != NULL)
		body = certauto__transfer_body(x->transfer);
	if (len != NULL)
		*len = body != NULL ? body->len : 0;
	return body != NULL ? certauto__buffer_text(body) : "";
}

static void list_wipe(certauto__list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		certauto__wipe(list->items[i], strlen(list->items[i]));
	certauto__list_free(list);
}

void certauto__exchange_free(certauto__exchange *x)
{
	certauto__transfer_free(x->transfer);
	x->transfer = NULL;
	certauto__buffer_free(&x->url);
	x->body.secret = x->answer.secret = 1;
	certauto__buffer_free(&x->body);
	certauto__buffer_free(&x->answer);
	x->errors.secret = 1;
	certauto__buffer_free(&x->errors);
	list_wipe(&x->headers);
	list_wipe(&x->argv);
	list_wipe(&x->environment);
	if (x->scratch != NULL) {
		x->scratch->secret = 1;
		certauto__buffer_free(x->scratch);
		certauto__free(x->scratch);
	}
	certauto__dns_free(x->dns);
	certauto__error_clear(&x->error);
}

void certauto__exchange_reset(certauto__exchange *x)
{
	certauto__exchange_free(x);
	memset(x, 0, sizeof(*x));
	x->wait_fd = -1;
	certauto__buffer_init(&x->body, CERTAUTO__HTTP_DEVICE_MAX);
	x->body.secret = 1;
	certauto__buffer_init(&x->answer, ANSWER_MAX);
	certauto__buffer_init(&x->errors, ANSWER_MAX);
}

/* ---- running ---- */

void certauto__run_finished(certauto_job *job, int rc)
{
	job->x.rc = rc;
	job->timer_at = 0;
	certauto__loop_timer(job);
	certauto__loop_ready(job);
}

void certauto__run_failed(certauto_job *job, int code, const char *format, ...)
{
	va_list args;

	certauto__error_clear(&job->x.error);
	va_start(args, format);
	certauto__error_vset(&job->x.error, code, certauto__buffer_text(&job->x.url), format, args);
	va_end(args);
	certauto__run_close(job);
	certauto__run_finished(job, code);
}

static int http_start(certauto_job *job)
{
	struct certauto__loop *loop = certauto__loop_of(job->object.cx);
	certauto__exchange *x = &job->x;
	struct certauto__http_request request;
	const char **headers;
	int rc;

	if ((rc = certauto__loop_http(loop, &x->error)) < 0)
		return rc;
	if ((headers = certauto__alloc((x->headers.n + 1) * sizeof(*headers))) == NULL)
		return certauto__error_nomem(&x->error);
	if (x->headers.n > 0)
		memcpy(headers, x->headers.items, x->headers.n * sizeof(*headers));
	memset(&request, 0, sizeof(request));
	request.kind = x->http;
	request.method = x->kind == CERTAUTO__X_PROBE ? NULL : x->method;
	request.url = certauto__buffer_text(&x->url);
	request.connect_to = x->connect_to;
	request.headers = headers;
	request.body = x->body.data;
	request.body_len = x->body.len;
	request.max_body = x->max_answer;
	request.ca_file = x->ca_file;
	request.pin = x->pin;
	request.insecure = x->insecure;
	request.timeout_ms = x->timeout_ms;
	request.user_agent = job->object.cx->user_agent;
	request.probe_key = x->probe_key;
	certauto__transfer_free(x->transfer); /* of an earlier attempt */
	x->transfer = NULL;
	rc = certauto__http_start(&x->transfer, loop->http, &request, job, &x->error);
	certauto__free(headers);
	return rc;
}

static void call_start(certauto_job *job)
{
	certauto__exchange *x = &job->x;
	int rc;

	x->again_ms = 0;
	x->wait_fd = -1;
	certauto__error_clear(&x->error);
	rc = x->call(job, x);
	if (rc != CERTAUTO_AGAIN) {
		certauto__run_finished(job, rc);
		return;
	}
	if (x->wait_fd >= 0 && certauto__loop_watch(certauto__loop_of(job->object.cx), job,
		x->wait_fd, x->wait_events) < 0) {
		certauto__run_failed(job, CERTAUTO_EIO, "descriptor %d cannot be watched",
			x->wait_fd);
		return;
	}
	/* What was noted by the call is durable before it is called again. */
	if (x->wait_fd < 0 || x->again_ms > 0)
		certauto__job_set_timer(job, x->again_ms);
}

void certauto__run_start(certauto_job *job)
{
	certauto__exchange *x = &job->x;
	int rc = x->url.rc < 0 ? x->url.rc : x->body.rc;

	certauto__error_clear(&x->error);
	x->rc = 0;
	x->status = 0;
	certauto__buffer_clear(&x->answer);
	certauto__buffer_clear(&x->errors);
	if (rc < 0) {
		certauto__run_failed(job, rc,
			"the request is larger than the limits allow, or memory is short");
		return;
	}
	switch (x->kind) {
	case CERTAUTO__X_HTTP:
	case CERTAUTO__X_PROBE:
		if ((rc = http_start(job)) < 0)
			certauto__run_finished(job, rc);
		return;
	case CERTAUTO__X_UNIX:
		certauto__unix_start(job);
		return;
	case CERTAUTO__X_PROC:
		certauto__proc_start(job);
		return;
	case CERTAUTO__X_CALL:
		call_start(job);
		return;
	case CERTAUTO__X_NONE:
		break;
	}
	certauto__run_failed(job, CERTAUTO_EINVAL, "nothing was asked");
}

void certauto__run_ready(certauto_job *job, int fd, int events)
{
	certauto__exchange *x = &job->x;

	switch (x->kind) {
	case CERTAUTO__X_HTTP:
	case CERTAUTO__X_PROBE:
		x->status = certauto__transfer_status(x->transfer);
		certauto__run_finished(job, certauto__transfer_result(x->transfer, &x->error));
		return;
	case CERTAUTO__X_UNIX:
		certauto__unix_ready(job, events);
		return;
	case CERTAUTO__X_PROC:
		certauto__proc_ready(job, fd, events);
		return;
	case CERTAUTO__X_CALL:
		certauto__loop_watch(certauto__loop_of(job->object.cx), job, fd, 0);
		job->timer_at = 0;
		certauto__loop_timer(job);
		job->stage = CERTAUTO__STAGE_SEND; /* saved first, then called again */
		certauto__loop_ready(job);
		return;
	case CERTAUTO__X_NONE:
		return;
	}
}

int certauto__run_timed_out(certauto_job *job)
{
	certauto__exchange *x = &job->x;

	if (x->kind == CERTAUTO__X_CALL) {
		if (x->wait_fd >= 0)
			certauto__loop_watch(certauto__loop_of(job->object.cx), job, x->wait_fd, 0);
		job->stage = CERTAUTO__STAGE_SEND;
		return 1;
	}
	certauto__transfer_free(x->transfer);
	x->transfer = NULL;
	certauto__run_close(job);
	certauto__error_set(&x->error, CERTAUTO_ETIMEDOUT, certauto__buffer_text(&x->url),
		"%s: no answer in time",
		x->kind == CERTAUTO__X_PROC && x->argv.n > 0 ? x->argv.items[0] :
		certauto__buffer_text(&x->url));
	x->rc = CERTAUTO_ETIMEDOUT;
	return 1;
}

void certauto__run_close(certauto_job *job)
{
	if (job->run == NULL)
		return;
	if (job->x.kind == CERTAUTO__X_PROC)
		certauto__proc_close(job);
	else
		certauto__unix_close(job);
	certauto__free(job->run);
	job->run = NULL;
}

void certauto__run_stop(certauto_job *job)
{
	if (job->wait != CERTAUTO__WAIT_SENT)
		return;
	if (job->x.kind == CERTAUTO__X_CALL && job->x.wait_fd >= 0)
		certauto__loop_watch(certauto__loop_of(job->object.cx), job, job->x.wait_fd, 0);
	certauto__transfer_free(job->x.transfer);
	job->x.transfer = NULL;
	certauto__run_close(job);
}
