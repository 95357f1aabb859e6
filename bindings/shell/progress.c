/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on standard error. On a terminal each certificate has one live line with the step it is
 * in, below a bar when there are several; a frame is one write, so that nothing flickers.
 * Elsewhere, as under systemd, each piece of news is a line of its own. */

#include "progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

#define LINES_MAX 8      /* a hundred certificates must not fill the screen */
#define FRAME_MS 60      /* no frame sooner after the last one */
#define ELAPSED_FROM_S 3 /* what takes longer shows how long it has taken */
#define BAR 16
#define COLUMNS 80 /* where the terminal does not say */

struct line {
	struct text subject, news, step;
	int is_whole;           /* of the run itself, not of one certificate */
	int64_t since_ms, changed_ms;
};

static struct {
	enum progress_kind kind;
	int live, dirty;
	int n_done, n_steps;
	struct line lines[LINES_MAX];
	size_t n_lines, n_drawn;
	int64_t drawn_ms;
} progress;

static int64_t now_ms(void)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void put(const struct text *text)
{
	size_t done = 0;
	ssize_t n;

	fflush(stdout);
	while (done < text->len) {
		n = write(STDERR_FILENO, text->data + done, text->len - done);
		if (n <= 0)
			return; /* nobody is there to be told */
		done += (size_t)n;
	}
}

void progress_begin(enum progress_kind kind)
{
	const char *term = getenv("TERM");

	progress.kind = kind;
	progress.live = kind == PROGRESS_NORMAL && isatty(STDERR_FILENO) && term != NULL &&
		strcmp(term, "dumb") != 0;
}

int progress_live(void)
{
	return progress.live;
}

/* ---- live lines ---- */

static size_t terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
		return size.ws_col;
	return COLUMNS;
}

/* Of all that is done side by side; one alone has no fraction worth showing. */
static size_t add_bar(struct text *out)
{
	int i, full;

	if (progress.n_steps < 2)
		return 0;
	full = BAR * progress.n_done / progress.n_steps;
	text_add(out, "[");
	for (i = 0; i < BAR; i++)
		text_add(out, i < full ? "=" : i == full ? ">" : " ");
	text_printf(out, "] %d of %d done\033[K", progress.n_done, progress.n_steps);
	return 1;
}

static void add_line(struct text *out, const struct line *line, size_t width, size_t columns)
{
	struct text whole = {0};
	int64_t s = (now_ms() - line->since_ms) / 1000;

	text_pad(&whole, text_of(&line->subject), width);
	text_add(&whole, "  ");
	text_add(&whole, text_of(&line->news));
	if (line->step.len > 0)
		text_printf(&whole, line->news.len > 0 ? " [%s]" : "%s", text_of(&line->step));
	if (s >= ELAPSED_FROM_S)
		text_printf(&whole, " (%lld s)", (long long)s);
	/* The last column stays free: some terminals wrap when it is written. */
	text_add_n(out, text_of(&whole), text_cut(text_of(&whole), columns - 1));
	text_add(out, "\033[K");
	text_free(&whole);
}

/* From the end of the last line drawn to the start of the first. */
static void add_home(struct text *out)
{
	text_add(out, "\r");
	if (progress.n_drawn > 1)
		text_printf(out, "\033[%zuA", progress.n_drawn - 1);
}

static size_t subject_width(size_t most)
{
	size_t i, columns, width = 0;

	for (i = 0; i < progress.n_lines; i++) {
		columns = text_columns(text_of(&progress.lines[i].subject));
		if (columns > width)
			width = columns;
	}
	return width < most ? width : most;
}

static void draw(void)
{
	size_t i, n, columns = terminal_columns(), width = subject_width(columns / 2);
	struct text frame = {0};

	add_home(&frame);
	n = add_bar(&frame);
	for (i = 0; i < progress.n_lines; i++) {
		if (n++ > 0)
			text_add(&frame, "\n");
		add_line(&frame, &progress.lines[i], width, columns);
	}
	put(&frame);
	text_free(&frame);
	progress.n_drawn = n;
	progress.drawn_ms = now_ms();
	progress.dirty = 0;
}

void progress_tick(void)
{
	int64_t age = now_ms() - progress.drawn_ms;

	if (progress.live && progress.n_lines > 0 && age >= (progress.dirty ? FRAME_MS : 1000))
		draw();
}

void progress_clear(void)
{
	struct text text = {0};

	if (progress.n_drawn == 0)
		return;
	add_home(&text);
	text_add(&text, "\033[J");
	put(&text);
	text_free(&text);
	progress.n_drawn = 0;
	progress.dirty = 1;
}

/* The line of a subject; when all are taken, the one that has been still for the longest. The
 * line of the run itself gives way to the first that says more. */
static struct line *line_for(const char *subject)
{
	struct line *line, *oldest = progress.lines;
	size_t i;

	for (i = 0; i < progress.n_lines; i++) {
		line = &progress.lines[i];
		if (strcmp(text_of(&line->subject), subject) == 0)
			return line;
		if (line->changed_ms < oldest->changed_ms)
			oldest = line;
	}
	if (progress.n_lines > 0 && progress.lines[0].is_whole)
		line = progress.lines;
	else
		line = progress.n_lines < LINES_MAX ? &progress.lines[progress.n_lines++] : oldest;
	text_free(&line->subject);
	text_free(&line->news);
	text_free(&line->step);
	memset(line, 0, sizeof(*line));
	text_add(&line->subject, subject);
	progress.drawn_ms = 0; /* who is new is shown at once, however short the run */
	return line;
}

/* since_ms: when it last said something else. */
static void replace(struct text *text, const char *news, int64_t *since_ms)
{
	if (strcmp(text_of(text), news) == 0)
		return;
	text_free(text);
	text_add(text, news);
	*since_ms = now_ms();
}

static void show_live(const certauto_event *event, const char *subject, const char *news)
{
	const char *whole = certauto_job_name(certauto_event_job(event));
	int is_whole = whole != NULL && strcmp(whole, subject) == 0;
	struct line *line;

	progress.n_done = certauto_event_n_done(event);
	progress.n_steps = certauto_event_n_steps(event);
	progress.dirty = 1;
	if (is_whole && progress.n_lines > 0 && !progress.lines[0].is_whole)
		return;
	line = line_for(subject);
	line->is_whole = is_whole;
	line->changed_ms = now_ms();
	if (certauto_event_type(event) == CERTAUTO_EVENT_STEP) {
		replace(&line->step, news, &line->since_ms);
	} else {
		replace(&line->news, news, &line->since_ms);
		text_free(&line->step);
	}
	progress_tick();
}

/* ---- plain lines ---- */

static void show_plain(const char *subject, const char *label, const char *news)
{
	struct text text = {0};
	time_t now = time(NULL);
	struct tm parts;
	char clock[16] = "";

	progress_clear();
	if (localtime_r(&now, &parts) != NULL)
		(void)strftime(clock, sizeof(clock), "%H:%M:%S ", &parts);
	text_printf(
		&text, "%s%s%s%s%s\n", clock, subject, *subject != '\0' ? ": " : "", label, news);
	put(&text);
	text_free(&text);
}

/* ---- events ---- */

static void add_news(struct text *out, const certauto_event *event)
{
	const char *text = certauto_event_text(event), *step = certauto_event_step(event);

	if (text == NULL)
		text = step != NULL ? step : "";
	text_add_shown(out, text);
	if (certauto_event_type(event) == CERTAUTO_EVENT_WAIT &&
	    certauto_event_until_at(event) != 0) {
		text_add(out, ", until ");
		text_add_time(out, certauto_event_until_at(event));
	}
}

static void add_subject(struct text *out, const certauto_event *event)
{
	const char *subject = certauto_event_object(event);

	if (subject == NULL && certauto_event_job(event) != NULL)
		subject = certauto_job_name(certauto_event_job(event));
	text_add_shown(out, subject != NULL ? subject : "");
}

/* Steps by name are for a live line, which they do not outlast, and for --verbose. */
static void show(const certauto_event *event, const char *subject, const char *news)
{
	int type = certauto_event_type(event);
	int is_step = type == CERTAUTO_EVENT_STEP, is_log = type == CERTAUTO_EVENT_LOG;

	if (type == CERTAUTO_EVENT_WARNING ||
	    (is_log && certauto_event_level(event) <= CERTAUTO_LOG_WARNING))
		show_plain(subject, "warning: ", news);
	else if (progress.kind == PROGRESS_QUIET ||
	    !(is_step || is_log || type == CERTAUTO_EVENT_WAIT))
		return;
	else if (progress.live)
		show_live(event, subject, news);
	else if (!is_step || progress.kind == PROGRESS_VERBOSE)
		show_plain(subject, "", news);
}

int progress_on_event(const certauto_event *event, void *payload)
{
	struct text subject = {0}, news = {0};

	(void)payload;
	add_subject(&subject, event);
	add_news(&news, event);
	show(event, text_of(&subject), text_of(&news));
	text_free(&subject);
	text_free(&news);
	return 0;
}
