//! Every limit of the hub, by name, with its reason. Config may change what operators need to change.

use std::time::Duration;

/// Bytes of an encoded envelope. An entry must fit a C2SP tile bundle, whose length prefix is 16 bits.
pub const ENVELOPE_BYTES_MAX: usize = 60 * 1024;
/// Bytes of a header: 64 recipients and 64 audiences fit many times over.
pub const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Records of one Publish batch: a batch is one signature batch.
pub const BATCH_RECORDS_MAX: usize = 256;
/// Bytes of one Publish batch.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a request message: much more than a batch or the values of a look-up, so that our own checks answer before
/// the transport's.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Fields of a request message, those of the messages in it included: two bytes of it can cost fifty times as much once
/// they are taken apart. Each number of a packed field is one: a byte becomes eight. A thousand queries or a batch of
/// records have a few thousand.
pub const MESSAGE_FIELDS_MAX: usize = 16 * 1024;
/// Bytes of requests that are not answered and of answers that are not sent, all calls of one member together, which
/// cost up to four times that while they come and are taken apart. A request counts with all the bytes that it says it has
/// from its first one on: that much is set aside for it. A stream counts with its largest message until it ends; streams may
/// hold five sixths. Forty-eight full pages fit; who does not read its
/// answers, or sends more than it finishes, hears BUSY.
pub const CALL_BYTES_PER_MEMBER_MAX: usize = 48 * 1024 * 1024;
/// The same of all members together, so that a few who read nothing do not cost everybody the hub: whoever holds something
/// already hears BUSY beyond it, and whoever holds nothing has one call.
pub const CALL_BYTES_MAX: usize = 240 * 1024 * 1024;
/// Bytes of batches that came on streams and have no answer yet, all streams of one member together: as many batches of
/// the largest as four streams have under way.
pub const STREAM_BYTES_PER_MEMBER_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one frame of a stream and of one page.
pub const FRAME_BYTES_MAX: usize = 768 * 1024;
/// Bytes at which a frame of a running stream is sent: big enough to amortise, small enough to keep moving.
pub const FRAME_BYTES_TARGET: usize = 128 * 1024;
/// Blocks that a subscription that catches up reads before others get their turn.
pub const CATCH_UP_BLOCKS: usize = 1024;
/// Entries of one page.
pub const PAGE_ENTRIES_MAX: usize = 1000;
/// Entries of a page when the caller does not say.
pub const PAGE_ENTRIES_DEFAULT: usize = 100;
/// Entries examined by one list call before it answers with what it has and a token. Clients demand of a page of a
/// publisher's entries that has fewer than they asked for that it reaches so many places further: it does not fall.
pub const PAGE_EXAMINED_MAX: usize = 10_000;
/// Values of one look-up.
pub const LOOKUP_VALUES_MAX: usize = 1000;
/// Postings examined by one look-up before it answers with what it has and says that there is more.
pub const LOOKUP_EXAMINED_MAX: usize = 50_000;
/// Lists of postings that one call asks for before it says that there is more, or is refused if it is a search: one for
/// each term and each group that the reader is in. A thousand values with forty PDQ hashes among them, each of which
/// takes hundreds, fit for a member in five custom audiences; one hash alone fits for whoever is in as many as one can be.
pub const INDEX_PROBES_MAX: usize = 120_000;
/// Matches returned for each value at most.
pub const LOOKUP_MATCHES_MAX: usize = 100;
/// Matches returned for each value when the caller does not say.
pub const LOOKUP_MATCHES_DEFAULT: usize = 10;
/// Bytes of the matches that one look-up returns, all values together: with the values themselves they fit an answer.
pub const LOOKUP_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a value.
pub const VALUE_BYTES_MAX: usize = 2048;
/// Bytes of a free text (description, narrative, explanation).
pub const TEXT_BYTES_MAX: usize = 4096;
/// Bytes of a short text (title, label, name).
pub const LABEL_BYTES_MAX: usize = 256;
/// Different words under which a record is found by its texts: each is a posting on the disk.
pub const RECORD_WORDS_MAX: usize = 256;
/// Postings of a record's words, one for each word and each group of readers. All 256 words of a record for fifteen
/// audiences and recipients fit; one for as many as it may name keeps 42.
pub const RECORD_WORD_POSTINGS_MAX: usize = 4096;
/// Postings of a record in all: each of its terms, under each group of its readers. All 512 techniques for 24 of them fit,
/// however much is written beside them. A record that would take more is refused: what it says is not to be found by a
/// part of it.
pub const RECORD_POSTINGS_MAX: usize = 16 * 1024;
/// Postings of a record that cost nothing but its bytes: all words of one for two audiences fit, with what reports say
/// besides.
pub const RECORD_POSTINGS_EASY: usize = 1024;
/// Postings of a member's records beyond those, at once: 34 records that have as many as they may. Who publishes them makes
/// others wait, and what comes at once must stay within a hundredth of what others do meanwhile.
pub const POSTINGS_BURST: u64 = 512 * 1024;
/// In which time as many more may come: 1,024 a second, so that an hour of one member's brings a run of the indexes as much
/// as a run of easy records. Everyone waits while it is written.
pub const POSTINGS_BURST_WINDOW: Duration = Duration::from_secs(512);
/// Records of a member that may be refused at once: as many as it may have under way when it learns of the first.
pub const REFUSALS_BURST: u64 = 8192;
/// In which time as many more may be: 256 a second. What comes beyond is refused before it is looked at, since the check of a
/// signature takes processors that others wait for.
pub const REFUSALS_BURST_WINDOW: Duration = Duration::from_secs(32);
/// Postings of one batch, so that a group, which others wait for, has twice as many at most: 256 easy records fit.
pub const BATCH_POSTINGS_MAX: usize = GROUP_BYTES_MAX / POSTING_BYTES;
/// When what a batch had more comes again: others have a group between.
pub const BATCH_POSTINGS_DELAY: Duration = Duration::from_millis(100);
/// Bytes that a posting counts where records are measured by them: half of what one takes, so that most records count
/// their own.
pub const POSTING_BYTES: usize = 8;
/// Bytes of one such word; longer ones are cut.
pub const WORD_BYTES_MAX: usize = 64;
/// Different words of one query: each is a list to be read.
pub const QUERY_WORDS_MAX: usize = 16;
/// Items of a repeated field of a body.
pub const ITEMS_MAX: usize = 64;
/// Narratives of an operation: published lists are long.
pub const NARRATIVES_MAX: usize = 512;
/// Techniques and metrics of one record: published operations list every procedure.
pub const TECHNIQUES_MAX: usize = 512;
/// Audiences of a handling.
pub const AUDIENCES_MAX: usize = 32;
/// Recipients of a handling.
pub const RECIPIENTS_MAX: usize = 64;
/// Values of one field of a filter.
pub const FILTER_VALUES_MAX: usize = 256;
/// Bytes of the filter of a stream or a durable subscription: with what is known of its deliveries it fits one value in
/// the store.
pub const FILTER_KEPT_BYTES_MAX: usize = 2048;
/// Bytes of a cursor or page token.
pub const TOKEN_BYTES_MAX: usize = 512;
/// Keys that a member may have registered, retired ones included.
pub const MEMBER_KEYS_MAX: usize = 1000;
/// Keys that a log may have had: each checkpoint is looked for among them.
pub const LOG_KEYS_MAX: usize = 1000;
/// How often the operator may reset a member's keys: each leaves room for as many keys again.
pub const KEY_RESETS_MAX: usize = 100;
/// How far ahead of the hub's clock a ``create_time`` may be.
pub const CREATE_TIME_AHEAD_MAX: Duration = Duration::from_mins(10);
/// How far the clock may jump against monotonic time before appends stop.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_mins(10);
/// Records that one commit group holds at most.
pub const GROUP_RECORDS_MAX: usize = 1024;
/// Bytes that one commit group holds at most.
pub const GROUP_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Batches of one member whose signatures are being checked, or are next; there is one place more that it never has. A
/// further one waits for its member's turn, then hears BUSY.
pub const CHECKED_PER_MEMBER_MAX: usize = 16;
/// Batches that wait for the sequencer; a publisher whose batch finds no place waits, then hears BUSY.
pub const SEQUENCER_QUEUE: usize = 256;
/// Records of one ``PublishStream`` that have to come again and are remembered: behind more of them, what may lack one is
/// held up until the stream ends.
pub const HELD_UP_MAX: usize = 1024;
/// How long a publisher's batch waits for a place before it hears BUSY.
pub const SEQUENCER_WAIT_MAX: Duration = Duration::from_secs(5);
/// Batches of one ``PublishStream`` that are under way; further ones wait in the transport's window.
pub const STREAM_BATCHES_IN_FLIGHT: usize = 16;
/// Bytes of encoded entries kept in memory for live subscribers.
pub const TAIL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Different shapes (kind, platform, operation) that the revisions of one record have: each entry keeps them all.
pub const SHAPES_MAX: usize = 64;
/// Records of one block of the log.
pub const BLOCK_RECORDS_MAX: usize = 16;
/// Bytes of one value in the store: larger ones would leave sled's log for files that no sync reaches.
pub const STORED_VALUE_BYTES_MAX: usize = 4 * 1024;
/// Under traffic a subscriber hears a mark at least this often.
pub const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// Without traffic a subscriber hears a mark at least this often.
pub const MARK_IDLE_INTERVAL: Duration = Duration::from_secs(15);
/// Streams, subscriptions and publishing ones, that one member may have open.
pub const STREAMS_PER_MEMBER_MAX: usize = 256;
/// Bytes that must stay free on the data volume, or publishing stops.
pub const MIN_FREE_BYTES: u64 = 256 * 1024 * 1024;
/// Members of a custom audience.
pub const AUDIENCE_MEMBERS_MAX: usize = 256;
/// Custom audiences that one member keeps.
pub const AUDIENCES_KEPT_MAX: usize = 256;
/// Custom audiences of others that one member is in, by their doing: each is one more group for each thing that it
/// looks for.
pub const AUDIENCES_JOINED_MAX: usize = 128;
/// Those of one keeper, so that none alone fills them.
pub const AUDIENCES_JOINED_OF_ONE_MAX: usize = 64;
/// How often one member adds members to audiences that it keeps, in all: who was in one when is kept for good, about a
/// hundred bytes of memory each. It is more than so many audiences with so many members need at once.
pub const AUDIENCE_JOINS_MAX: usize = 100_000;
/// Durable subscriptions of one member.
pub const SUBSCRIPTIONS_MAX: usize = 256;
/// Durable subscriptions, those furthest behind, whose lag the operator's figures show: an entry is read for each.
pub const STATE_SUBSCRIPTIONS_MAX: usize = 1024;
/// Entries, or values that are looked up, from which on a member's reading is told in the operator's audit log: those of one
/// answer, or of several of a kind together; and how many entries a stream must begin behind the head to be told by itself.
pub const BULK_ENTRIES: usize = 500;
/// Entries examined by one call for an operation or for links before it answers with what it has and says that there
/// is more.
pub const OPERATION_EXAMINED_MAX: usize = 50_000;
/// Statements of an operation that one answer holds: attributions, reports, opinions and the rest.
pub const OPERATION_ENTRIES_MAX: usize = 500;
/// Bytes of those statements, and of the totals, figures and techniques each a third as much: together they fit an
/// answer.
pub const OPERATION_BYTES_MAX: usize = 1536 * 1024;
/// Rows of an operation's indicators, by publisher, platform and kind.
pub const OPERATION_ASSETS_MAX: usize = 1000;
/// Steps that one walk over links goes.
pub const LINK_STEPS_MAX: usize = 4;
/// Steps when the caller does not say.
pub const LINK_STEPS_DEFAULT: usize = 2;
/// Nodes of one walk over links.
pub const LINK_NODES_MAX: usize = 1000;
/// Nodes when the caller does not say.
pub const LINK_NODES_DEFAULT: usize = 100;
/// What joins the nodes of one walk: about 200 bytes each.
pub const LINK_EDGES_MAX: usize = 5000;
/// Bytes of an answer: what gRPC libraries take if nobody tells them otherwise.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Warning lists that a hub loads: the known ones are a hundred or so.
pub const WARNING_LISTS_MAX: usize = 512;
/// Entries of all warning lists together: about 150 bytes of memory each; the longest known lists have a million.
pub const WARNING_ENTRIES_MAX: usize = 4_000_000;
/// Bytes of one file of a warning list: a million entries fit twice.
pub const WARNING_FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Patterns of one warning list: each is compiled.
pub const WARNING_PATTERNS_MAX: usize = 1000;
/// Bytes of the substrings of one warning list: each costs about 50 bytes of automaton.
pub const WARNING_SUBSTRING_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Warnings about one value.
pub const WARNINGS_MAX: usize = 8;
/// Frameworks of techniques that a hub loads: a few, in some versions each.
pub const FRAMEWORKS_MAX: usize = 16;
/// Techniques of all frameworks together: about 10 KiB of memory each, words included; the known frameworks have some
/// hundreds.
pub const FRAMEWORK_TECHNIQUES_MAX: usize = 20_000;
/// Bytes of one file of a framework: the largest known one has 50 MB.
pub const FRAMEWORK_FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Objects of one STIX bundle that say something about techniques; others are passed over while it is read.
pub const FRAMEWORK_OBJECTS_MAX: usize = 100_000;
/// Filters of a member whose deliveries are kept apart.
pub const DELIVERY_FILTERS_MAX: usize = 16;
/// Runs of places that are kept for one of them.
pub const DELIVERY_RANGES_MAX: usize = 32;
/// Gains of access that are kept for one of them.
pub const DELIVERY_GAINS_MAX: usize = 16;
/// Times that are kept for one of them.
pub const DELIVERY_POINTS_MAX: usize = 40;
/// How often the hub does what time alone brings about.
pub const TICK_INTERVAL: Duration = Duration::from_secs(1);
/// Ticks after which what was delivered is written.
pub const DELIVERY_WRITE_TICKS: u32 = 10;
/// Bodies that one notice of the hub erases at most.
pub const ERASED_MAX: usize = 1024;
/// Sequences that one notice of the hub lets go at most.
pub const RETENTION_SEQUENCES_MAX: u64 = 4096;
/// Postings of bodies that one notice lets go, but for those of its first entry: they are in memory at once. Four
/// thousand ordinary entries have fewer.
pub const ERASED_POSTINGS_MAX: usize = 256 * 1024;
/// How much longer than asked a body may be kept, so that a notice lets go of more than one.
pub const RETENTION_SLACK: Duration = Duration::from_hours(1);
/// Bytes that retention keeps at least: a tenth of them must be many times what a notice has.
pub const RETENTION_BYTES_MIN: u64 = 64 * 1024;
/// Members that are not suspended which a role must have for its members to be told apart in the ledger.
pub const LEDGER_THRESHOLD: usize = 3;
/// Entries of one ledger: about 200 bytes of memory each while it is computed, and a hub computes one at a time.
pub const LEDGER_ENTRIES_MAX: usize = 1_000_000;
/// How long a member waits that asks for a ledger while it has one under way: most take less.
pub const LEDGER_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Operations with times of their own in the ledger: an answer fits one message.
pub const LEDGER_OPERATIONS_MAX: usize = 500;
/// Notices that the hub writes for one tick at most: each makes publishers wait.
pub const ERASURES_PER_TICK: usize = 64;
/// After how long in a tick no further one is begun.
pub const ERASING_PER_TICK: Duration = Duration::from_millis(50);
/// Heads that are kept of one publisher: one for each signing key and scope.
pub const HEADS_MAX: usize = 1024;
/// Entries of a publisher that are looked at to count what a new head adds; a head that adds more is kept uncounted.
pub const HEAD_EXAMINED_MAX: usize = 50_000;
/// Heads of others that a head tells of.
pub const HEADS_SEEN_MAX: usize = 16;
/// How far ahead a head may say that the next one is due.
pub const HEAD_DUE_MAX: Duration = Duration::from_hours(31 * 24);
/// Bytes of evidence that a member may hand in: it is kept for good. Without what a stream brought, evidence has some
/// kilobytes; the roster of a large exchange has some hundred.
pub const REPORT_BYTES_MAX: usize = 1024 * 1024;
/// Reports of misbehaviour that are kept of one member. None is ever let go, so that nobody can push one out.
pub const REPORTS_MAX: usize = 16;
/// Bytes of evidence of one page of reports: two of the largest, which fit an answer.
pub const REPORTS_PAGE_BYTES_MAX: usize = 2 * REPORT_BYTES_MAX;
/// Exhibits of one file of evidence that is handed in: the client makes fewer than ten.
pub const REPORT_EXHIBITS_MAX: usize = 1000;
/// Operations that a list of collections has, the newest ones: others are found by their ids.
pub const COLLECTIONS_MAX: usize = 200;
/// Bytes of the objects of one page of a collection: a member's open calls together hold a bounded part of memory.
pub const OBJECTS_BYTES_MAX: usize = 1024 * 1024;
/// Objects of one export: of those that records share the ids are remembered, about 100 bytes each.
pub const EXPORT_OBJECTS_MAX: u64 = 1_000_000;
/// Records of an export that are read at once.
pub const EXPORT_RECORDS: usize = 200;
/// Bytes of an export that are written before they are sent; the record that goes beyond them is written whole.
pub const EXPORT_BYTES: usize = 1024 * 1024;
/// Work on one page of objects: a fraction of the time of a call, so that what costs more than it looks is answered in
/// more pages and not lost.
pub const PAGE_WORK_MAX: Duration = Duration::from_secs(2);
/// Earlier entries that are looked at for all shared objects of one entry, and places that are found for one of them:
/// behind so many that do not have it, it is given again.
pub const BROUGHT_EXAMINED_MAX: usize = 1000;
