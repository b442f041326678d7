# SierraHistory.pm
#     The history of a git repository as events: one stream per file, one event
#     per change of it.

package SierraHistory;

use strict;
use warnings;

use Digest::SHA qw(sha1_hex);
use Encode qw(decode FB_CROAK LEAVE_SRC);
use JSON::PP;
use PostgreSQL::Test::Utils;

my %names = (A => 'FileAdded', D => 'FileDeleted', M => 'FileChanged', T => 'FileRetyped');

# The repository to read: that of the environment, that of the directory, or,
# because the sources may come without one, a small random one that is made for
# the test.
sub repository {
    my ($directory) = @_;
    return $ENV{SIERRA_TEST_REPOSITORY} if $ENV{SIERRA_TEST_REPOSITORY};
    my $found = `git -C "$directory" -c safe.directory='*' rev-parse --git-dir 2>/dev/null`;
    return $? == 0 && $found ne '' && has_commits($directory) ? $directory : random_repository();
}

sub git {
    my ($repository, @arguments) = @_;
    my ($out, $complaint);

    # The sources may belong to another user than the one that runs the tests.
    IPC::Run::run([ 'git', '-C', $repository, '-c', 'safe.directory=*', @arguments ],
        '<', \undef, '>', \$out, '2>', \$complaint)
      or die "git @arguments: $complaint";
    return $out;
}

sub has_commits {
    my ($repository) = @_;
    return defined eval { git($repository, 'rev-parse', '--verify', 'HEAD') };
}

# Some hundred commits that add, change and delete files.
sub random_repository {
    my $repository = PostgreSQL::Test::Utils::tempdir() . '/repository';
    my $stream     = '';
    my %lines;
    srand($ENV{SIERRA_TEST_SEED} // 1);
    for my $commit (1 .. 400) {
        my $message = "Commit $commit\n\"quoted\", with a\ttab and \xc3\xbc";
        $stream .= sprintf "commit refs/heads/main\ncommitter A <a\@example.org> %d +0000\ndata %d\n%s\n",
          1_700_000_000 + 60 * $commit, length $message, $message;
        for (1 .. 1 + int rand 4) {
            my $path = 'dir ' . int(rand 4) . '/file-' . int(rand 12);
            if ($lines{$path} && rand() < 0.1) {
                delete $lines{$path};
                $stream .= "D $path\n";
                next;
            }
            push @{ $lines{$path} }, map { "line $commit $_" } 1 .. 1 + int rand 5;
            my $text = join "\n", @{ $lines{$path} }, '';
            $stream .= sprintf "M 100644 inline %s\ndata %d\n%s\n", $path, length $text, $text;
        }
    }
    system_or_bail('git', 'init', '--quiet', '--initial-branch=main', $repository);
    IPC::Run::run([ 'git', '-C', $repository, 'fast-import', '--quiet' ], '<', \$stream)
      or die 'git fast-import failed';
    return $repository;
}

# The newest events of the repository, oldest first; at most max.  Merges count
# as one change against their first parent, so that the states add up.
sub events {
    my ($repository, $max) = @_;
    my $log = git($repository, 'log', '--reverse', '--first-parent', '-m', '--no-renames', '--raw',
        '--no-abbrev', '--numstat', '-z', '--format=%x01%H%x00%aI%x00%an%x00%s');
    my (@events, %version);
    for my $commit (split /\x01/, $log) {
        my @fields = split /\0/, $commit;
        next if @fields < 4;
        my ($hash, $time, $author, $subject) = splice @fields, 0, 4;
        push @events, changes($hash, $time, { commit => $hash, author => text($author), subject => text($subject) }, @fields);
    }
    for my $event (@events) {
        my $version = $version{ $event->{stream_id} }++;
        $event->{expected_version} = $version ? $version - 1 : 'empty';
        $event->{stream_version}   = $version;
        last if $max && ++$version{''} >= $max;
    }
    return [ grep { exists $_->{stream_version} } @events ];
}

# The changes of one commit: raw entries, then their numbers of lines.
sub changes {
    my ($hash, $time, $metadata, @fields) = @_;
    my (@events, %lines);
    while (@fields) {
        my $field = shift @fields;
        if ($field =~ /^\s*:\d+ \d+ [0-9a-f]+ ([0-9a-f]+) ([A-Z])/) {
            my ($blob, $status) = ($1, $2);
            my $path = shift @fields;
            push @events,
              {
                path       => $path,
                event_name => $names{$status} // "File$status",
                payload    => { blob => $blob },
              };
        }
        elsif ($field =~ /^\s*(\d+|-)\t(\d+|-)\t(.*)/s) {
            $lines{$3} = [ $1, $2 ];
        }
    }
    my $json = JSON::PP->new->canonical->pretty;
    for my $event (@events) {
        my $path = $event->{path};
        @{ $event->{payload} }{qw(added deleted)} = @{ $lines{$path} // [ 0, 0 ] };
        $event->{blob}      = $event->{payload}{blob};
        $event->{payload}   = $json->encode($event->{payload});
        $event->{metadata}  = $json->encode($metadata);
        $event->{timestamp} = $time;
        $event->{stream_id} = stream_id($path);
        $event->{event_id}  = event_id("$hash $path");
    }
    return @events;
}

# Long names and odd ones do not fit in a stream id.
sub stream_id {
    my ($path) = @_;
    my $text = text($path);
    return 'file-' . (length $path > 200 || $text =~ /[\x00-\x1f\x7f]/ || !utf8::is_utf8($text)
        ? sha1_hex($path)
        : $text);
}

# What git stores as bytes; nearly always UTF-8.
sub text {
    my ($bytes) = @_;
    return eval { decode('UTF-8', $bytes, FB_CROAK | LEAVE_SRC) } // $bytes;
}

# A change has the same id whichever session sends it.
sub event_id {
    my ($name) = @_;
    return join '-', unpack 'A8 A4 A4 A4 A12', sha1_hex($name);
}

# The files of the newest commit, by stream.
sub files {
    my ($repository) = @_;
    my %files;
    for my $entry (split /\0/, git($repository, 'ls-tree', '-r', '-z', '--full-tree', 'HEAD')) {
        my ($blob, $path) = $entry =~ /^\d+ \w+ ([0-9a-f]+)\t(.*)$/s or next;
        $files{ stream_id($path) } = $blob;
    }
    return \%files;
}

1;
