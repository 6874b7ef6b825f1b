# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_shardback_global_optspecs
    string join \n h/help V/version
end

function __fish_shardback_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_shardback_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_shardback_using_subcommand
    set -l cmd (__fish_shardback_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c shardback -n "__fish_shardback_needs_command" -s h -l help -d 'Print help'
complete -c shardback -n "__fish_shardback_needs_command" -s V -l version -d 'Print version'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "build" -d 'Build a day, or a range of days in one pass'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "check" -d 'Show what is understood of a description and its tables, and what looks wrong'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "inspect" -d 'Show what a shard, a day or an output holds: figures, history lengths, the first samples'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "report" -d 'Write a page about the days of an output: one HTML file for a browser or a printer, without scripts'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "verify" -d 'Check days: hashes, structure, invariants; exits with 1 and every fault named where there is any'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "clean" -d 'Remove what runs that were killed have left in an output; on a disk the next run does that too'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "generate" -d 'Make synthetic tables of any size: heavy-tailed, seeded, the same bytes each time'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "demo" -d 'Build the bundled sample in all formats and show what came out'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "completions" -d 'Print a script that completes this command line in a shell'
complete -c shardback -n "__fish_shardback_needs_command" -f -a "man" -d 'Print a man page: of the program, or of one of its commands'
complete -c shardback -n "__fish_shardback_using_subcommand build" -l impressions -d 'Impressions: dt, customer_id, impressions (list of item_id, is_order) or item_id, is_order' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand build" -l clicks -d 'Clicks: dt, customer_id, item_id, click_time' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand build" -l add-to-carts -d 'Add-to-carts: dt, customer_id, config_id, occurred_at' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand build" -l previous-orders -d 'Previous orders: order_date, customer_id, config_id' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand build" -l config -d 'A description of other tables, in TOML or JSON; other options have the last word' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand build" -l table -d 'Where a table of the description lies, if not where that says; may be repeated' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l store-option -d 'A setting of the object stores in which tables lie, as aws_region=eu-west-1; may be repeated' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l out -d 'The folder for the results' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand build" -l date -d 'The day to build, as YYYY-MM-DD' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l start -d 'The first day to build' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l end -d 'The last day to build, inclusive' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l formats -d 'What to write' -r -f -a "parquet\t''
dense\t''
jagged\t''"
complete -c shardback -n "__fish_shardback_using_subcommand build" -l history -d 'K: how many actions a row has, newest first, zero-padded; 1000, or what the description says, if not given' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l lookback-days -d 'How many days back a sample sees; all of them, or what the description says, if not given' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l cutoff -d 'From when on nothing is seen: the day of the sample, or its own time; day, or what the description says, if not given' -r -f -a "day\t''
time\t''"
complete -c shardback -n "__fish_shardback_using_subcommand build" -l lookback -d 'With --cutoff time: how far back a request sees, as 90d, 12h or 30m' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l delay -d 'With --cutoff time: an action is seen only so long after its time, as 5m or 30s' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l item-dtype -d 'The width of item ids in the outputs; i32 if not given, or i64 where a description hashes them or has them without sign' -r -f -a "i32\t''
i64\t''"
complete -c shardback -n "__fish_shardback_using_subcommand build" -l day-zone -d 'The time zone in which the days of timestamps count, as Europe/Berlin or UTC; the one that a column says if not given' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l csv-escape -d 'What comes before a quote within quotes of a CSV file, as the backslash of Spark, where quotes are not doubled' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l invalid -d 'Rows that break the contract: stop at the first, or leave them out and keep them in _rejected.jsonl' -r -f -a "fail\t''
skip\t''"
complete -c shardback -n "__fish_shardback_using_subcommand build" -l shard-rows -d 'About how many samples a shard holds' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l shards -d 'How many shards a day has' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l device -d 'What pads the rows of dense shards; auto is the processor, and cuda fails where there is no such device' -r -f -a "auto\t''
cpu\t''
cuda\t''"
complete -c shardback -n "__fish_shardback_using_subcommand build" -l threads -d 'How many threads work, at most 1024; one for each processor that the process may use if not given' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l memory -d 'The most memory to use, as 8GiB or 512MiB; three quarters of what the machine, or its control group, has if not given' -r
complete -c shardback -n "__fish_shardback_using_subcommand build" -l spill-dir -d 'A folder for what memory has no room for; inside OUT if not given. Where OUT is an address, days are made there first, or among the system\'s temporary files' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand build" -l skip-existing -d 'Leave days alone that an earlier run with the same options has published'
complete -c shardback -n "__fish_shardback_using_subcommand build" -l allow-empty-days -d 'Write days without impressions, with no rows, instead of failing'
complete -c shardback -n "__fish_shardback_using_subcommand build" -l require-fresh -d 'Fail, before anything is published, if a table of actions has no row on the day before a built day but has some before that'
complete -c shardback -n "__fish_shardback_using_subcommand build" -l replace-non-atomic -d 'Replace a day in two steps where the file system cannot do it in one'
complete -c shardback -n "__fish_shardback_using_subcommand build" -s q -l quiet -d 'Say nothing but errors'
complete -c shardback -n "__fish_shardback_using_subcommand build" -l json -d 'Print the summary as JSON'
complete -c shardback -n "__fish_shardback_using_subcommand build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shardback -n "__fish_shardback_using_subcommand check" -l impressions -d 'Impressions: dt, customer_id, impressions (list of item_id, is_order) or item_id, is_order' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand check" -l clicks -d 'Clicks: dt, customer_id, item_id, click_time' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand check" -l add-to-carts -d 'Add-to-carts: dt, customer_id, config_id, occurred_at' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand check" -l previous-orders -d 'Previous orders: order_date, customer_id, config_id' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand check" -l config -d 'A description of other tables, in TOML or JSON; other options have the last word' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand check" -l table -d 'Where a table of the description lies, if not where that says; may be repeated' -r
complete -c shardback -n "__fish_shardback_using_subcommand check" -l store-option -d 'A setting of the object stores in which tables lie, as aws_region=eu-west-1; may be repeated' -r
complete -c shardback -n "__fish_shardback_using_subcommand check" -l item-dtype -d 'The width of item ids in the outputs; i32 if not given, or i64 where a description hashes them or has them without sign' -r -f -a "i32\t''
i64\t''"
complete -c shardback -n "__fish_shardback_using_subcommand check" -l day-zone -d 'The time zone in which the days of timestamps count, as Europe/Berlin or UTC; the one that a column says if not given' -r
complete -c shardback -n "__fish_shardback_using_subcommand check" -l csv-escape -d 'What comes before a quote within quotes of a CSV file, as the backslash of Spark, where quotes are not doubled' -r
complete -c shardback -n "__fish_shardback_using_subcommand check" -l rows -d 'About how many rows of each table are read at most, spread over its files' -r
complete -c shardback -n "__fish_shardback_using_subcommand check" -l json -d 'Print the answer as JSON'
complete -c shardback -n "__fish_shardback_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shardback -n "__fish_shardback_using_subcommand inspect" -l rows -d 'How many samples to show' -r
complete -c shardback -n "__fish_shardback_using_subcommand inspect" -l customer -d 'Show this customer\'s samples and whole history' -r
complete -c shardback -n "__fish_shardback_using_subcommand inspect" -l cache-dir -d 'Where days that lie in an object store are kept on this machine; shardback in the user\'s cache if not given' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand inspect" -l cache-limit -d 'The most that the days of one output may take there, as 100GiB; no limit if not given' -r
complete -c shardback -n "__fish_shardback_using_subcommand inspect" -l store-option -d 'A setting of object stores, as aws_region=eu-west-1; may be repeated' -r
complete -c shardback -n "__fish_shardback_using_subcommand inspect" -l json -d 'Print the answer as JSON'
complete -c shardback -n "__fish_shardback_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c shardback -n "__fish_shardback_using_subcommand report" -l to -d 'The file to write, or - for stdout; report.html in the output if not given' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand report" -l cache-dir -d 'Where days that lie in an object store are kept on this machine; shardback in the user\'s cache if not given' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand report" -l cache-limit -d 'The most that the days of one output may take there, as 100GiB; no limit if not given' -r
complete -c shardback -n "__fish_shardback_using_subcommand report" -l store-option -d 'A setting of object stores, as aws_region=eu-west-1; may be repeated' -r
complete -c shardback -n "__fish_shardback_using_subcommand report" -s q -l quiet -d 'Say nothing but errors'
complete -c shardback -n "__fish_shardback_using_subcommand report" -l json -d 'Print what the page says as JSON, and write no page'
complete -c shardback -n "__fish_shardback_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shardback -n "__fish_shardback_using_subcommand verify" -l cache-dir -d 'Where days that lie in an object store are kept on this machine; shardback in the user\'s cache if not given' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand verify" -l cache-limit -d 'The most that the days of one output may take there, as 100GiB; no limit if not given' -r
complete -c shardback -n "__fish_shardback_using_subcommand verify" -l store-option -d 'A setting of object stores, as aws_region=eu-west-1; may be repeated' -r
complete -c shardback -n "__fish_shardback_using_subcommand verify" -s q -l quiet -d 'Say nothing but faults'
complete -c shardback -n "__fish_shardback_using_subcommand verify" -l json -d 'Print the reports as JSON'
complete -c shardback -n "__fish_shardback_using_subcommand verify" -s h -l help -d 'Print help'
complete -c shardback -n "__fish_shardback_using_subcommand clean" -l older-than -d 'In an object store: only what is older, as 24h or 30m, as younger files may be of a run that is still at work' -r
complete -c shardback -n "__fish_shardback_using_subcommand clean" -l store-option -d 'A setting of object stores, as aws_region=eu-west-1; may be repeated' -r
complete -c shardback -n "__fish_shardback_using_subcommand clean" -s h -l help -d 'Print help'
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l customers -d 'Customers that may act' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l mean-actions -d 'Actions of a customer, on average' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l sigma -d 'How unevenly customers act: 0 makes them alike, 1.6 gives a heavy tail' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l days -d 'Days of actions' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l impression-days -d 'How many of the last days have impressions' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l rows-per-day -d 'Impression rows a day' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l slate -d 'Items of an impression row, on average' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l items -d 'Distinct items' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l last-day -d 'The last day of all tables' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l seed -d 'Other seeds give other tables of the same shape' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l late-share -d 'The share of clicks and add-to-carts that arrive up to three days after their time' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l giant-share -d 'The share of all actions that one enormous customer has' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l cold-share -d 'The share of impression rows that go to customers without any action' -r
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l format -d 'The format of the tables' -r -f -a "parquet\t''
json\t''"
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l described -d 'More columns, and a description of them, OUT/shop.toml, with a cut-off at the time: requests with times and ids, a second label, prices'
complete -c shardback -n "__fish_shardback_using_subcommand generate" -s q -l quiet -d 'Say nothing but errors'
complete -c shardback -n "__fish_shardback_using_subcommand generate" -l json -d 'Print the summary as JSON'
complete -c shardback -n "__fish_shardback_using_subcommand generate" -s h -l help -d 'Print help'
complete -c shardback -n "__fish_shardback_using_subcommand demo" -l out -d 'The folder for the sample\'s tables and the results' -r -F
complete -c shardback -n "__fish_shardback_using_subcommand demo" -s h -l help -d 'Print help'
complete -c shardback -n "__fish_shardback_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shardback -n "__fish_shardback_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
