SELECT stream_version FROM eappend('hot-1', 'OrderItemAdded', :payload, :metadata);
